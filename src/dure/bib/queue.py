"""The jobs of this machine, in SQLite under DURE_HOME: asked for, claimed, told of, ended.

Any number of processes may use it at once. Knows what stands in the tables, and the rules of who may run beside whom by
name; not how a job is run, nor what is free on a device.
"""

import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from dure.bib.job import Event, Job, State
from dure.errors import JobNotFound, ModelError
from dure.store.home import home_folder
from dure.store.naming import checked_name

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, model_name TEXT NOT NULL, task TEXT NOT NULL,
    device TEXT NOT NULL, placed TEXT NOT NULL DEFAULT '', recipe TEXT NOT NULL, num_rows INTEGER NOT NULL,
    digest TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued', note TEXT NOT NULL DEFAULT '',
    num_crashes INTEGER NOT NULL DEFAULT 0, step INTEGER NOT NULL DEFAULT -1, need_bytes INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, is_cancelled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, state TEXT NOT NULL, step INTEGER NOT NULL,
    num_steps INTEGER NOT NULL, share REAL NOT NULL, epoch INTEGER NOT NULL, loss REAL, score REAL,
    elapsed_time_s REAL NOT NULL, note TEXT NOT NULL, version INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job_id, number);
"""
Place: TypeAlias = Callable[[Job, list[Job]], tuple[str, str]]

_LAST_EVENT = "SELECT * FROM events WHERE job_id = ? ORDER BY number DESC LIMIT 1"
_WAIT_S = 30.0  # for another process that writes
_JOB_FIELDS = Job.__struct_fields__
_EVENT_FIELDS = Event.__struct_fields__


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job before it has an id.

    Args:
        model_name: Under which the model is published.
        recipe: How it is trained, as plain values; with `task`.
        rows: The data set, one JSON text each.
        digest: SHA-256 of the data set.
        device: Where it is to run.
        need_bytes: How much memory of a GPU it is thought to need.
    """

    model_name: str
    recipe: dict[str, Any]
    rows: Sequence[bytes]
    digest: str
    device: str = "cpu"
    need_bytes: int = 0


class JobQueue:
    """The jobs below one folder.

    Args:
        folder: Where they are; `jobs` below the home folder if not given. It is made if it is not there.

    Raises:
        ModelError: It cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or home_folder() / "jobs"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.folder / "jobs.sqlite", timeout=_WAIT_S, check_same_thread=False)
            self._base.isolation_level = None  # transactions are begun where they are written down
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise ModelError(f"{self.folder}: jobs cannot be kept there: {error}") from error
        self._base.row_factory = sqlite3.Row
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()

    def folder_of(self, job_id: str) -> Path:
        """Return where a job keeps its data, its checkpoints and what its worker wrote."""
        return self.folder / job_id

    def submit(self, submission: Submission) -> Job:
        """Keep the data set and put the job at the end of the queue.

        Raises:
            ValidationError: The name of the model cannot be one.
            ModelError: It cannot be kept.
        """
        name = checked_name(submission.model_name)
        job_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
        folder = self.folder_of(job_id)
        try:
            folder.mkdir()
            with (folder / "data.jsonl").open("xb") as file:
                file.writelines(row + b"\n" for row in submission.rows)
            fields = {
                "id": job_id,
                "model_name": name,
                "task": submission.recipe["task"],
                "device": submission.device,
                "recipe": msgspec.json.encode(submission.recipe).decode(),
                "num_rows": len(submission.rows),
                "digest": submission.digest,
                "need_bytes": submission.need_bytes,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            with self._transaction() as base:
                _insert(base, "jobs", fields)
                self._tell(base, Event(job_id=job_id, state=State.QUEUED))
        except (OSError, sqlite3.Error) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise ModelError(f"{folder}: the job cannot be kept: {error}") from error
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        """Return a job as it is now.

        Raises:
            JobNotFound: There is none of this id.
        """
        found = self._jobs("WHERE id = ?", job_id)
        if not found:
            raise JobNotFound(f"job_id: there is no job {job_id!r:.60}; `dure jobs list` shows those there are")
        return found[0]

    def jobs(self, *states: State) -> list[Job]:
        """Return the jobs in one of these states, or all, in the order in which they were asked for."""
        marks = ", ".join("?" * len(states))
        return self._jobs(f"WHERE state IN ({marks})" if states else "", *states)

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """Return what was told of a job after the event of that number, in order."""
        with self._lock:
            rows = self._base.execute(
                "SELECT * FROM events WHERE job_id = ? AND number > ? ORDER BY number", (job_id, after)
            ).fetchall()
        return [_event(row) for row in rows]

    def tell(self, event: Event) -> None:
        """Add what there is to tell of a job."""
        with self._transaction() as base:
            self._tell(base, event)

    def claim(self, job_id: str, place: Place) -> str:
        """Have a queued job run now, unless something is in its way; return what is, empty if nothing.

        Args:
            job_id: Which.
            place: Given the job and those that run, returns where it is to run and an empty text, or nothing and what
                is in its way. What it sees holds until the claim is through: nobody else can claim a job meanwhile.
        """
        with self._transaction() as base:
            job = self.job(job_id)
            if job.state is not State.QUEUED or job.is_cancelled:
                return f"it is {'cancelled' if job.is_cancelled else job.state}"
            running = self.jobs(State.RUNNING)
            same = next((other for other in running if other.model_name == job.model_name), None)
            placed, why = ("", f"waits for {same.id}, which trains the same model") if same else place(job, running)
            if why and why != job.note:
                base.execute("UPDATE jobs SET note = ? WHERE id = ?", (why, job_id))
                self._tell(base, self._last(base, job_id, State.QUEUED, why))
            if not why:
                base.execute("UPDATE jobs SET state = 'running', note = '', placed = ? WHERE id = ?", (placed, job_id))
                self._tell(base, self._last(base, job_id, State.RUNNING, f"runs on {placed}"))
        return why

    def requeue(self, job_id: str, note: str, *, num_crashes: int = 0, step: int = -1) -> None:
        """Put a job whose worker is gone back to where it was in the queue; nothing happens to one that has ended."""
        with self._transaction() as base:
            if self.job(job_id).state is not State.RUNNING:
                return
            base.execute(
                "UPDATE jobs SET state = 'queued', num_crashes = ?, step = ? WHERE id = ?", (num_crashes, step, job_id)
            )
            self._tell(base, self._last(base, job_id, State.QUEUED, note))

    def finish(
        self, job_id: str, state: State, *, note: str = "", version: int = 0, score: float | None = None
    ) -> bool:
        """End a job, and remove its data and checkpoints; whether it had not ended before."""
        with self._transaction() as base:
            if self.job(job_id).state.is_final:
                return False
            base.execute(
                "UPDATE jobs SET state = ?, note = ?, version = ? WHERE id = ?", (state, note, version, job_id)
            )
            event = msgspec.structs.replace(self._last(base, job_id, state, note), version=version, score=score)
            self._tell(base, event if state is not State.DONE else msgspec.structs.replace(event, share=1.0))
        self._clear(job_id)
        return True

    def tidy(self) -> None:
        """Remove data and checkpoints of ended jobs, whose processes were killed before they could."""
        for job in self.jobs(State.DONE, State.FAILED, State.CANCELLED):
            self._clear(job.id)

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job: at once if it waits, else as soon as its worker hears of it. Ended ones stay.

        Raises:
            JobNotFound: There is none of this id.
        """
        with self._transaction() as base:
            job = self.job(job_id)
            base.execute("UPDATE jobs SET is_cancelled = 1 WHERE id = ? AND state IN ('queued', 'running')", (job_id,))
        if job.state is State.QUEUED:
            self.finish(job_id, State.CANCELLED, note="cancelled before it began")
        return self.job(job_id)

    def last_event(self, job_id: str) -> Event:
        """Return how far a job is, by what was told of it last."""
        job = self.job(job_id)
        with self._lock:
            row = self._base.execute(_LAST_EVENT, (job_id,)).fetchone()
        return msgspec.structs.replace(_event(row), state=job.state, note=job.note, version=job.version)

    def furthest_step(self, job_id: str) -> int:
        """Return the highest step that was ever told of a job; -1 if none was."""
        with self._lock:
            row = self._base.execute("SELECT MAX(step) FROM events WHERE job_id = ?", (job_id,)).fetchone()
        return -1 if row[0] is None else int(row[0])

    def _clear(self, job_id: str) -> None:
        folder = self.folder_of(job_id)
        (folder / "data.jsonl").unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    def _jobs(self, which: str, *values: Any) -> list[Job]:
        with self._lock:
            rows = self._base.execute(f"SELECT * FROM jobs {which} ORDER BY number", values).fetchall()
        return [_job(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def _last(self, base: sqlite3.Connection, job_id: str, state: State, note: str) -> Event:
        """Return the last event of a job with another state and note, so that a watcher never sees it fall back."""
        row = base.execute(_LAST_EVENT, (job_id,)).fetchone()
        return msgspec.structs.replace(_event(row), state=state, note=note, loss=None, score=None)

    def _tell(self, base: sqlite3.Connection, event: Event) -> None:
        fields = msgspec.structs.asdict(event)
        del fields["number"]
        _insert(base, "events", fields)


def _insert(base: sqlite3.Connection, table: str, fields: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(fields))
    base.execute(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))


def _event(row: sqlite3.Row) -> Event:
    return msgspec.convert({name: row[name] for name in _EVENT_FIELDS}, Event)


def _job(row: sqlite3.Row) -> Job:
    fields = {name: row[name] for name in _JOB_FIELDS}
    fields["recipe"] = msgspec.json.decode(fields["recipe"])
    fields["is_cancelled"] = bool(fields["is_cancelled"])
    return msgspec.convert(fields, Job)
