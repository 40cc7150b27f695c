"""A training by a crew, for who leads it: started, watched, stopped, and what came out of it.

The training belongs to the process that leads: it ends with it, and the same order goes on from the last checkpoint.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from dure.bib.crew_folder import CrewFolder, CrewTask
from dure.bib.crew_order import CrewAtWork, CrewOrder, StartCrew, check_order
from dure.bib.data_set import Examples
from dure.bib.job import Event
from dure.dataset.dataset import digest_of
from dure.device.cores import usable_cores
from dure.errors import TrainingFailed
from dure.learning.recipe import Recipe
from dure.learning.training import Trained
from dure.nlp.snapshot import resolve
from dure.store.home import home_folder

_LOOKED_AT_EVERY_S = 0.1
_STOPS_WITHIN_S = 10.0
_BEGINS_WITHIN_S = 30.0

Tell = Callable[[Event], None]


class CrewTraining:
    """One training by a crew.

    Args:
        recipe: How.
        parts: What is learnt from, and what validates.
        order: Who.

    Attributes:
        folder: Where its checkpoints are.

    Raises:
        ValidationError: The order makes no sense; or SpecError, where a setting is not for its backend.
        ModelNotFound: The encoder is not on this machine.
    """

    def __init__(self, recipe: Recipe, parts: tuple[Examples, Examples], order: CrewOrder) -> None:
        check_order(order, recipe)
        encoder = Path(recipe.encoder or "")
        resolve(encoder)  # before anything is started
        if encoder.is_dir():
            recipe = replace(recipe, encoder=str(encoder.resolve()))
        self._recipe, self._parts, self._order = recipe, parts, order
        spread = max(1, usable_cores() // recipe.shares) if order.backend == "local" else 1
        digest = hashlib.sha256(":".join(map(digest_of, parts)).encode()).hexdigest()
        self._task = CrewTask(recipe=recipe.as_dict(), digest=digest, threads=order.threads or spread)
        self.folder = (order.checkpoints or home_folder() / "crews" / _name(self._task)).absolute()

    def run(self, tell: Tell = lambda event: None) -> Trained:
        """Train; return what came out, which `remove` is to follow once it is kept.

        Raises:
            TrainingFailed: Workers were lost again and again; says what the last of them wrote.
            DureError: As `dure.learning.training.train`, or as the backend refuses to start.
        """
        folder, is_new = CrewFolder(self.folder), not self.folder.exists()
        with folder.taken(self._task, self._parts):
            if (before := folder.trained()) is not None:  # who led then has died before it could be published
                return before
            try:
                crew = _starter(self._order)(folder, self._order, self._recipe, self._task.threads)
            except BaseException:
                if is_new:
                    folder.remove()
                raise
            try:
                self._watch(crew, folder, tell)
            except BaseException:
                folder.ask_to_stop()
                _wait(crew)
                raise
            finally:
                crew.end()
            if (error := folder.error()) is not None:
                raise error
            if (trained := folder.trained()) is None:
                raise TrainingFailed(f"the crew could not go on: {crew.last_words()}")
        return trained

    def remove(self) -> None:
        """Remove the folder."""
        CrewFolder(self.folder).remove()

    def _watch(self, crew: CrewAtWork, folder: CrewFolder, tell: Tell) -> None:
        began, told = time.monotonic(), 0
        while True:
            is_last = crew.has_ended() or folder.error() is not None
            for event in folder.events():
                told += 1
                tell(event)
            if is_last:
                _wait(crew)
                return
            if not told and time.monotonic() - began > _BEGINS_WITHIN_S:
                told += 1
                tell(Event(job_id="", note="no worker has begun yet; on Ray they wait for cores or GPUs that are free"))
            time.sleep(_LOOKED_AT_EVERY_S)


def _wait(crew: CrewAtWork) -> None:
    give_up_at = time.monotonic() + _STOPS_WITHIN_S
    while not crew.has_ended() and time.monotonic() < give_up_at:
        time.sleep(_LOOKED_AT_EVERY_S)


def _starter(order: CrewOrder) -> StartCrew:
    if order.backend == "ray":
        from dure.bib.ray_crew import RayCrew

        return RayCrew
    from dure.bib.local_crew import LocalCrew

    return LocalCrew


def _name(task: CrewTask) -> str:
    """Return a name that another training does not have."""
    return hashlib.sha256(msgspec.json.encode([task.recipe, task.digest])).hexdigest()[:16]
