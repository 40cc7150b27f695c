"""Trainings, for whoever wants one: asked for, watched, cancelled. What the services, Executors and commands share.

Knows what a training may be asked to be; does not train: workers do, in processes of their own.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from dure.bib.data_set import Examples, encoded
from dure.bib.foreman import Foreman, Workshop
from dure.bib.job import Event, Job
from dure.bib.queue import JobQueue, Submission
from dure.bib.room import needed_bytes
from dure.dataset.rows import check_trainable
from dure.dataset.split import split
from dure.device.context import parse_context
from dure.device.cores import usable_cores
from dure.device.probe import require_device
from dure.errors import ValidationError
from dure.learning.recipe import Recipe
from dure.store.home import home_folder
from dure.store.store import ModelStore

if TYPE_CHECKING:
    from dure.dataset.example import LabelledText

LOOKED_AT_EVERY_S = 0.1
"""How often the queue is looked at by whoever watches a job."""


class Trainings:
    """The jobs below a home folder, and the foreman who has them done.

    Args:
        device: Where they run: `cpu`, any `gpu`, or one of them, such as `gpu:1`.
        home: Instead of the home folder.
        workshop: How they are run, instead of as usual on that device.
        shares_cores: Whether predictions are made on this machine, too: then a core is left for them.

    Raises:
        DeviceNotFound: The device is not there.
        ModelError: Jobs cannot be kept in that folder.
    """

    def __init__(
        self,
        device: str = "cpu",
        home: Path | None = None,
        workshop: Workshop | None = None,
        *,
        shares_cores: bool = False,
    ) -> None:
        home = home or home_folder()
        self.device = _normal(device)
        self.queue = JobQueue(home / "jobs")
        num_threads = max(1, usable_cores() - 1) if shares_cores else None
        workshop = workshop or Workshop(models=home / "models", num_threads=num_threads)
        self._store = ModelStore(workshop.models)
        self._foreman = Foreman(self.queue, replace(workshop, device=self.device))
        self._foreman.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Start nothing more; what trains trains on."""
        self._foreman.close()
        self.queue.close()

    def submit(self, model_name: str, recipe: Recipe, examples: Examples) -> Job:
        """Take a training into the queue.

        Args:
            model_name: Under which the model is published. While another of this name trains, it waits.
            recipe: How; its device is replaced by that of these trainings.
            examples: What is learnt from, and validated on, as the recipe's `train_rate` splits it.

        Raises:
            ValidationError: The name cannot be one, or is that of a model for another task, or nothing can be learnt.
            SpecError: One of the parts that `train_rate` makes of them is empty.
            ModelError: The job cannot be kept.
        """
        self._check_task(model_name, recipe.task)
        check_trainable(examples)
        split(
            cast("list[LabelledText]", examples), recipe.train_rate, recipe.seed
        )  # the worker does, too late to refuse
        rows, digest = encoded(examples)
        on_gpu = self.device != "cpu"
        # The worker sees one GPU alone, whichever it is given.
        recipe = replace(recipe, device="gpu(0)" if on_gpu else "cpu")
        submission = Submission(
            model_name=model_name,
            recipe=recipe.as_dict(),
            rows=rows,
            digest=digest,
            device=self.device,
            need_bytes=needed_bytes(recipe) if on_gpu else 0,
        )
        job = self.queue.submit(submission)
        self._foreman.wake()
        return job

    def watch(self, job_id: str) -> Iterator[Event]:
        """Yield what is told of a job, from its beginning to its end, as it comes.

        Raises:
            JobNotFound: There is no such job.
        """
        return watch(self.queue, job_id)

    def _check_task(self, model_name: str, task: str) -> None:
        """Refuse a version that those who ask for the model by its name could not use."""
        for version in reversed(self._store.versions(model_name)):
            known = version.card.get("task", task)
            if known != task:
                does = "classifies texts" if known == "tc" else "finds named entities"
                raise ValidationError(
                    f"model_name: {model_name!r} {does}, and a model keeps its task: use another name"
                )
            return


def watch(queue: JobQueue, job_id: str) -> Iterator[Event]:
    """Yield what is told of a job, from its beginning to its end, as it comes; in whatever process it is done.

    Raises:
        JobNotFound: There is no such job.
    """
    queue.job(job_id)
    after = 0
    while True:
        events = queue.events(job_id, after)
        for event in events:
            after = event.number
            yield event
            if event.state.is_final:
                return
        if not events:
            time.sleep(LOOKED_AT_EVERY_S)


def _normal(device: str) -> str:
    """Return a device's name as jobs have it, once it is there: `gpu` without a number is any GPU."""
    if device.strip().lower() in ("gpu", "cuda"):
        require_device(parse_context("gpu"))
        return "gpu"
    context = parse_context(device)
    require_device(context)
    return "cpu" if context.kind == "cpu" else str(context)
