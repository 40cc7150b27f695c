"""What is told of a training while it runs: its steps as events, a few a second. Knows not who hears of them."""

import time
from collections.abc import Callable

from dure.bib.job import Event
from dure.learning.progress import Progress

_TOLD_EVERY_S = 0.2


class Reporter:
    """Tells of a training, as often as people can read; losses between are averaged.

    Args:
        tell: Who is told.
        job_id: Of which job.
    """

    def __init__(self, tell: Callable[[Event], None], job_id: str) -> None:
        self._tell = tell
        self._job_id = job_id
        self._losses: list[float] = []
        self._told_at = 0.0
        self._note = ""
        self._resumed = False

    def __call__(self, progress: Progress) -> None:
        """Take note of a step, and tell of it if it is time."""
        self._losses.append(progress.loss)
        now = time.monotonic()
        note = progress.note if progress.note != self._note else ""
        if progress.resumed_from and not self._resumed:
            note = f"goes on from step {progress.resumed_from}{'; ' if note else ''}{note}"
        due = now - self._told_at >= _TOLD_EVERY_S or progress.step == progress.num_steps
        if not due and progress.score is None and not note:
            return
        self._tell(
            Event(
                job_id=self._job_id,
                step=progress.step,
                num_steps=progress.num_steps,
                share=progress.share,
                epoch=progress.epoch,
                loss=sum(self._losses) / len(self._losses),
                score=progress.score,
                elapsed_time_s=progress.elapsed_time_s,
                note=note,
            )
        )
        self._told_at, self._note, self._losses, self._resumed = now, progress.note, [], True
