"""The program of one training: `python -m dure.bib.worker JOB JOBS_FOLDER MODELS_FOLDER LOCK`.

A process of its own, in its own session and of low priority, so that it outlives who started it and takes no time from
predictions. It holds a lock as long as it lives: by that, and by nothing else, others know that it does.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dure.bib import data_set
from dure.bib.job import Job, State
from dure.bib.outcome import publish
from dure.bib.queue import JobQueue
from dure.bib.reporter import Reporter
from dure.dataset.split import split
from dure.device.loss import device_loss
from dure.errors import Cancelled, DureError
from dure.learning.kinds import learner_for
from dure.learning.recipe import Recipe
from dure.learning.training import MakeLearner, train
from dure.store.publication import DISK_FULL
from dure.store.store import ModelStore
from dure.store.version import Version

if TYPE_CHECKING:
    from dure.dataset.example import LabelledText

_NICENESS = 10
_ASKED_EVERY_S = 0.1


class Ending:
    """Whether a training is to end before its time: somebody has cancelled it, or this process is to go."""

    def __init__(self, queue: JobQueue, job_id: str) -> None:
        self._queue = queue
        self._job_id = job_id
        self._asked_at = 0.0
        self._cancelled = False
        self.told_to_go = False
        signal.signal(signal.SIGTERM, self._on_signal)

    def __call__(self) -> bool:
        """Look, now and then."""
        now = time.monotonic()
        if now - self._asked_at >= _ASKED_EVERY_S:
            self._asked_at = now
            job = self._queue.job(self._job_id)
            self._cancelled = job.is_cancelled or job.state is not State.RUNNING
        return self._cancelled or self.told_to_go

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.told_to_go = True


def run(queue: JobQueue, store: ModelStore, job_id: str, make_learner: MakeLearner = learner_for) -> None:
    """Do a job to its end, whatever that is: a version, a failure with its reason, or the queue again."""
    job = queue.job(job_id)
    ending = Ending(queue, job_id)
    try:
        published = _published(store, job) or _train(queue, store, job, ending, make_learner)
    except Cancelled:
        if ending.told_to_go and not queue.job(job_id).is_cancelled:
            queue.requeue(job_id, "its process was told to end; it goes on from here", step=job.step)
        else:
            queue.finish(job_id, State.CANCELLED, note="cancelled")
    except DureError as error:
        _give_up(queue, job_id, error, str(error))
    except OSError as error:
        full = f"the disk of {queue.folder} is full: no checkpoint could be written. Make room, and train again"
        _give_up(queue, job_id, error, full if error.errno in DISK_FULL else str(error))
    except Exception as error:  # noqa: BLE001  (whatever a learner raises, it would raise again)
        _give_up(queue, job_id, error, f"{type(error).__qualname__}: {error}")
    else:
        scores = published.card["scores"]
        score = scores.get("accuracy", scores.get("entity_f1"))
        queue.finish(job_id, State.DONE, version=published.number, score=score)


def _give_up(queue: JobQueue, job_id: str, error: Exception, note: str) -> None:
    """End a job that would fail again; where it is the device that is lost, another process may have more luck."""
    if device_loss(error):
        raise error
    traceback.print_exception(error)
    queue.finish(job_id, State.FAILED, note=note)


def _published(store: ModelStore, job: Job) -> Version | None:
    """Return the version that this job has published already, if its process died before it could say so."""
    return next((one for one in store.versions(job.model_name) if one.card.get("job") == job.id), None)


def _train(queue: JobQueue, store: ModelStore, job: Job, ending: Ending, make_learner: MakeLearner) -> Version:
    recipe = Recipe.from_dict(job.recipe)
    folder = queue.folder_of(job.id)
    examples = data_set.read(folder / "data.jsonl", job.task)
    parts: Any = split(cast("list[LabelledText]", examples), recipe.train_rate, recipe.seed)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    report = Reporter(queue.tell, job.id)
    trained = train(recipe, parts, checkpoints=checkpoints, report=report, stop=ending, make_learner=make_learner)

    return publish(store, job.model_name, trained, parts, job.digest, job=job.id)


def main(work: Callable[..., None] = run) -> None:
    """Run the job that the command line names."""
    job_id, jobs, models, lock = sys.argv[1:]
    os.set_inheritable(int(lock), False)  # what this process starts does not live for it
    os.nice(_NICENESS)
    work(JobQueue(Path(jobs)), ModelStore(Path(models)), job_id)


if __name__ == "__main__":
    main()
