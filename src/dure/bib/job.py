"""A training that was asked for, and what is told of it while it runs. Knows nothing of where either is kept."""

from enum import StrEnum
from typing import Any

from msgspec import Struct


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


class Job(Struct, frozen=True, kw_only=True):
    """One training.

    Args:
        id: By which it is asked for.
        model_name: Under which the model is published.
        task: `tc` or `ner`.
        device: Where it is to run: `cpu`, or `gpu` for any GPU, or one of them, such as `gpu(1)`.
        placed: Where it runs, or ran last; empty if it never did.
        recipe: How the model is trained, as plain values.
        num_rows: Of its data set.
        digest: SHA-256 of its data set.
        state: Where it stands.
        note: Why it waits, or why it failed.
        num_crashes: How often its worker died since it last came further.
        step: How far it was when its worker died last.
        need_bytes: How much memory of a GPU it is thought to need.
        version: What it published; 0 if nothing.
        created_at: When it was asked for, ISO 8601 in UTC.
        is_cancelled: Whether somebody has asked for its end.
    """

    id: str
    model_name: str
    task: str
    device: str
    placed: str
    recipe: dict[str, Any]
    num_rows: int
    digest: str
    state: State
    note: str
    num_crashes: int
    step: int
    need_bytes: int
    version: int
    created_at: str
    is_cancelled: bool


class Event(Struct, frozen=True, kw_only=True):
    """What is told of a job at one moment: how far it is, or what became of it.

    Args:
        job_id: Of which job.
        number: In the order in which they were told, over all jobs.
        state: Where the job stands.
        step: Optimiser steps done.
        num_steps: Of how many.
        share: Part of the work that is done, from 0 to 1.
        epoch: Which is under way, from 1; 0 before the first.
        loss: Mean of the training loss since the last that was told; None if none is known.
        score: Of the validation part, at the end of an epoch: accuracy, or strict F1 over entities; else None.
        elapsed_time_s: Seconds of training so far.
        note: A sentence, where there is something to say.
        version: What was published, at the end of a job that is done; else 0.
    """

    job_id: str
    number: int = 0
    state: State = State.RUNNING
    step: int = 0
    num_steps: int = 0
    share: float = 0.0
    epoch: int = 0
    loss: float | None = None
    score: float | None = None
    elapsed_time_s: float = 0.0
    note: str = ""
    version: int = 0
