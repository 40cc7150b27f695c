"""A training worker as dure's own, but for the learner: the smallest there is, slowed down so that it can be killed.

TINY_STEP_S seconds a step, a checkpoint every TINY_CHECKPOINT_S seconds. TINY_REAL: the real learner after all.
"""

import errno
import os
import sys
import time
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from dure.bib import worker
from dure.bib.queue import JobQueue
from dure.errors import DeviceOutOfMemory
from dure.learning import training
from dure.learning.kinds import Examples, learner_for
from dure.learning.learner import Learner
from dure.learning.recipe import Recipe
from dure.store.store import ModelStore
from tests.unit.learning.tiny_learner import TinyLearner


class SlowLearner(TinyLearner):
    def step(self, number: int) -> float:
        time.sleep(float(os.environ.get("TINY_STEP_S", "0")))
        if os.environ.get("TINY_DIES_AT") == str(number):
            os.write(2, b"the end is near\n")
            os._exit(3)
        if self.batch_size > int(os.environ.get("TINY_MAX_BATCH", self.batch_size)):
            raise DeviceOutOfMemory("no room")
        if os.environ.get("TINY_RAISES_AT") == str(number):
            raise KeyError("what nobody thought of")
        if os.environ.get("TINY_FILLS_THE_DISK_AT") == str(number):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        loss = super().step(number)
        return float("nan") if os.environ.get("TINY_DIVERGES_AT") == str(number) else loss


def make_slow(recipe: Recipe, train: Examples, validation: Examples) -> Learner:
    return cast("Learner", SlowLearner(recipe, train, validation))


def run(queue: JobQueue, store: ModelStore, job_id: str) -> None:
    training.CHECKPOINT_EVERY_S = float(os.environ.get("TINY_CHECKPOINT_S", "10"))
    worker.run(queue, store, job_id, learner_for if os.environ.get("TINY_REAL") else make_slow)


if __name__ == "__main__":
    worker.main(run)
