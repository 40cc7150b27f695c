"""One worker of a crew: `python -m dure.bib.crew_member FOLDER LEADER` under torchrun, or `work` in one of Ray Train.

Reads its folder, trains, and writes what came out there. Does not know who started it, or how many times.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dure.bib.crew_folder import CrewFolder, CrewTask
from dure.bib.reporter import Reporter
from dure.deps import require
from dure.device.context import parse_context
from dure.device.library import torch_device
from dure.device.loss import device_loss
from dure.errors import DureError
from dure.learning.recipe import Recipe

_LOOKED_AT_EVERY_S = 0.2


def work(path: Path, gpu: int) -> None:
    """Do one worker's part, in the default group of torch.distributed.

    Args:
        path: The crew's folder.
        gpu: Which GPU of those it sees is this worker's, if the recipe is for GPUs.
    """
    folder = CrewFolder(path)
    with _told(folder):
        from dure.learning.process_group import ProcessGroup
        from dure.learning.training import train_in_crew

        recipe = _begun(folder, gpu)
        crew = ProcessGroup(recipe.shares)
        if crew.rank == 0:
            folder.form(crew.size)
        report, stop = Reporter(folder.tell, ""), _Stop(folder if crew.rank == 0 else None)
        trained = train_in_crew(crew, recipe, folder.parts(recipe.task), checkpoints=path, report=report, stop=stop)
        if crew.rank == 0:
            folder.finish(trained)


def _begun(folder: CrewFolder, gpu: int) -> Recipe:
    """Return the recipe for this worker, with its threads and device as the task says."""
    torch = require("torch", "models")
    task = folder.task()
    torch.set_num_threads(task.threads)
    recipe = replace(Recipe.from_dict(task.recipe), device=_device(task, gpu))
    device = torch.device(torch_device(recipe.device))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return recipe


def _device(task: CrewTask, gpu: int) -> str:
    return f"gpu({gpu})" if parse_context(task.recipe["device"]).kind == "gpu" else "cpu"


@contextlib.contextmanager
def _told(folder: CrewFolder) -> Iterator[None]:
    """Write down what would only happen again, and end as if all were well: nobody is to begin anew."""
    try:
        yield
    except DureError as error:
        if device_loss(error):
            raise  # another process may have more luck
        folder.fail(error)


class _Stop:
    """Whether the crew is to end before its time; only the first of it looks."""

    def __init__(self, folder: CrewFolder | None) -> None:
        self._folder = folder
        self._looked_at = 0.0
        self._said = False

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._folder is not None and now - self._looked_at >= _LOOKED_AT_EVERY_S:
            self._looked_at = now
            self._said = self._folder.is_to_stop()
        return self._said


def _end_with_leader(folder: CrewFolder) -> None:
    """End this process when who leads is gone: torchrun would go on without."""

    def watch() -> None:
        while folder.is_led():
            time.sleep(_LOOKED_AT_EVERY_S)
        os._exit(0)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    """Be one process of torchrun."""
    folder = CrewFolder(Path(sys.argv[1]), sys.argv[2])
    _end_with_leader(folder)
    dist: Any = require("torch.distributed", "models")
    from dure.learning.process_group import SILENCE, backend_for

    torch = require("torch", "models")
    with _told(folder):
        gpu = int(os.environ["LOCAL_RANK"])
        device = torch.device(torch_device(_device(folder.task(), gpu)))
        dist.init_process_group(backend_for(device.type == "cuda"), timeout=SILENCE)
        try:
            work(folder.path, gpu)
        finally:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
