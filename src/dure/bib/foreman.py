"""Starts training workers for the jobs that wait, and sees to it that each job comes to an end.

Several may be at work for one queue, in several processes. A worker lives as long as the lock of its job is held: so a
worker is seen that was killed, one that outlived who started it is not started twice, and nobody has to be asked.
"""

import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dure.bib.job import Job, State
from dure.bib.queue import JobQueue
from dure.bib.room import find_room
from dure.device.context import parse_context
from dure.device.cores import usable_cores
from dure.device.probe import VISIBLE_VARIABLE, inventory
from dure.errors import DureError
from dure.log import get_logger

MAX_CRASHES = 3
"""How often a worker may die without its job having come further."""

_TICK_S = 0.2
_LAST_WORDS_BYTES = 2000
_LOG = "worker.log"


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """How trainings are run.

    Args:
        device: Which jobs are taken: those for `cpu`, for any `gpu`, or for one of them, such as `gpu(1)`.
        models: Folder of the model store.
        num_threads: Threads of a training; as many as there are cores if not given.
        max_cpu_jobs: How many train on the processor at once.
        command: The program of a worker.
    """

    models: Path
    device: str = "cpu"
    num_threads: int | None = None
    max_cpu_jobs: int = 1
    command: Sequence[str] = field(default=(sys.executable, "-P", "-m", "dure.bib.worker"))


class Foreman:
    """Runs the jobs of a queue that are for one device, until it is closed; what trains then trains on."""

    def __init__(self, queue: JobQueue, workshop: Workshop) -> None:
        self._queue = queue
        self._workshop = workshop
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="foreman", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._queue.tidy()
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue now, not only in a moment."""
        self._due.set()

    def close(self) -> None:
        """Start nothing more. Workers go on; whoever looks after the queue next watches them."""
        self._closed = True
        self._due.set()
        self._thread.join()
        for child in self._children.values():
            if child.poll() is None:  # it trains on; once it ends, it is not to stay in the table of processes
                threading.Thread(target=child.wait, name="reaper", daemon=True).start()

    def _work(self) -> None:
        while not self._closed:
            try:
                self.look()
            except (OSError, sqlite3.Error, DureError):
                get_logger("foreman").exception("the jobs could not be looked after; trying again")
            self._due.wait(_TICK_S)
            self._due.clear()

    def look(self) -> None:
        """Bury the dead, and start what may run."""
        for job in self._queue.jobs(State.RUNNING):
            with _lock_of(self._queue, job.id) as lock:
                if lock is not None:
                    self._bury(self._queue.job(job.id))
        for job_id, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[job_id]
        crowded = False
        for job in self._queue.jobs(State.QUEUED):
            if job.is_cancelled:
                self._queue.finish(job.id, State.CANCELLED, note="cancelled before it began")
            elif job.device == self._workshop.device:
                crowded = self._start(job, crowded) or crowded

    def _start(self, job: Job, crowded: bool) -> bool:
        """Have a job run if it may; whether there is no room for it, nor for those behind it."""
        full = ""

        def place(job: Job, running: list[Job]) -> tuple[str, str]:
            nonlocal full
            placed, full = ("", "waits for those before it") if crowded else self._place(job, running)
            return placed, full

        with _lock_of(self._queue, job.id) as lock:
            if lock is not None and not self._queue.claim(job.id, place):
                self._spawn(self._queue.job(job.id), lock)
        return bool(full)

    def _place(self, job: Job, running: Sequence[Job]) -> tuple[str, str]:
        if job.device != "cpu":
            return find_room(job, running)
        beside = [other for other in running if other.placed == "cpu(0)"]
        if len(beside) < self._workshop.max_cpu_jobs:
            return "cpu(0)", ""
        return "", f"waits for {beside[0].id}: the processor trains {self._workshop.max_cpu_jobs} at a time"

    def _spawn(self, job: Job, lock: int) -> None:
        threads = str(self._workshop.num_threads or usable_cores())
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        env |= {"OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}  # no thread spins for work
        env |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), threads)
        context = parse_context(job.placed)
        gpu = inventory().find(context) if context.kind == "gpu" else None
        env[VISIBLE_VARIABLE] = gpu.visible_as if gpu is not None else ""
        arguments = [job.id, str(self._queue.folder), str(self._workshop.models), str(lock)]
        with (self._queue.folder_of(job.id) / _LOG).open("wb") as log:
            self._children[job.id] = subprocess.Popen(
                [*self._workshop.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                pass_fds=(lock,),
                start_new_session=True,
            )

    def _bury(self, job: Job) -> None:
        """Decide what becomes of a job whose worker is gone. Our hand is on its lock: nobody else decides."""
        if job.state is not State.RUNNING:
            return  # it has ended as it should, a moment ago
        reached = self._queue.furthest_step(job.id)
        crashes = 1 if reached > job.step else job.num_crashes + 1
        end = self._end_of(job.id)
        if job.is_cancelled:
            self._queue.finish(job.id, State.CANCELLED, note="cancelled")
        elif crashes >= MAX_CRASHES:
            words = _last_words(self._queue.folder_of(job.id) / _LOG)
            note = f"its process {end}, {crashes} times without coming further than step {max(0, reached)}. {words}"
            self._queue.finish(job.id, State.FAILED, note=note)
        else:
            get_logger("foreman").warning("the worker of %s %s; it is started again", job.id, end)
            self._queue.requeue(
                job.id, f"its process {end}; it goes on from its last checkpoint", num_crashes=crashes, step=reached
            )

    def _end_of(self, job_id: str) -> str:
        child = self._children.get(job_id)
        code = child.wait() if child is not None else None
        if code is None:
            return "is gone"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


@contextlib.contextmanager
def _lock_of(queue: JobQueue, job_id: str) -> Iterator[int | None]:
    """Hold the lock of a job's worker for the block, or longer if it is passed on to one; None if one lives."""
    number = os.open(queue.folder_of(job_id) / "worker.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield number
    finally:
        os.close(number)


def _last_words(path: Path) -> str:
    try:
        words = path.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace").strip()
    except OSError:
        words = ""
    return f"It had written last:\n{words}" if words else "It had written nothing."
