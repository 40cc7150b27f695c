"""The folder of a training that a crew does: what is to be trained, checkpoints, how far it is, and what came out.

All that a crew and who leads it tell each other goes through it: one folder that all nodes see is all they need. Knows
files; starts nothing.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import msgspec

from dure.bib import data_set
from dure.bib.data_set import Examples
from dure.bib.job import Event
from dure.device.context import cpu
from dure.errors import DureError, ValidationError, from_wire, to_wire
from dure.learning.kinds import load_model
from dure.learning.progress import Progress
from dure.learning.recipe import Recipe
from dure.learning.training import Trained

_TRAINING = "training.json"
_PARTS = ("train.jsonl", "validation.jsonl")
_PROGRESS = "progress.jsonl"
_SIZE = "size.json"
_STOP = "stop"
_ERROR = "error.json"
_LOCK = "lock"
_OUTCOME, _TRAINED = "outcome", "trained.json"
_OURS = {"training", "train", "validation", "progress", "size", "stop", "error", "lock", "outcome"} | {
    *("checkpoint", "logs", "ray")  # of the training loop, torchrun and Ray Train
}


class CrewTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a crew trains.

    Args:
        recipe: How, as plain values.
        digest: SHA-256 of both parts of the data.
        threads: Of each worker's arithmetic: another number may give other last digits.
        dure: The version of who leads.
    """

    recipe: dict[str, Any]
    digest: str
    threads: int
    dure: str = msgspec.field(default_factory=lambda: version("dure"))


class CrewFolder:
    """The folder, for who leads and for the workers.

    Args:
        path: Where it is; absolute.
        leader: By which name a worker knows who leads it; who leads makes one.
    """

    def __init__(self, path: Path, leader: str = "") -> None:
        self.path = path
        self.leader = leader or uuid.uuid4().hex
        self._heard = 0

    # -- for who leads

    @contextlib.contextmanager
    def taken(self, task: CrewTask, parts: tuple[Examples, Examples]) -> Iterator[None]:
        """Have the folder for this training alone, and write down what is to be trained; a checkpoint is kept.

        Raises:
            ValidationError: It holds another training or other files, is in use, or cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / _TRAINING).exists() and {path.name for path in self.path.iterdir()} - {_LOCK}:
                raise ValidationError(f"checkpoints: {self.path} holds other files; name a folder that is empty or new")
            lock = (self.path / _LOCK).open("ab")
        except OSError as error:
            raise ValidationError(f"checkpoints: {self.path} cannot be used: {error}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValidationError(f"checkpoints: {self.path} is in use by a training that runs") from None
            self._check_same(task)
            _write(self.path / _TRAINING, task)
            lock.truncate(0)
            lock.write(self.leader.encode())
            lock.flush()
            for name in (_PROGRESS, _SIZE, _STOP, _ERROR):
                (self.path / name).unlink(missing_ok=True)
            for name, examples in zip(_PARTS, parts, strict=True):
                (self.path / name).write_bytes(b"".join(row + b"\n" for row in data_set.encoded(examples)[0]))
            yield

    def _check_same(self, task: CrewTask) -> None:
        path = self.path / _TRAINING
        if not path.exists():
            return
        before = _read(path, CrewTask)
        names = task.recipe.keys() | before.recipe.keys()
        differs = sorted(name for name in names if task.recipe.get(name) != before.recipe.get(name))
        told = [f"its {name} is {before.recipe.get(name)!r}, not {task.recipe.get(name)!r}" for name in differs]
        told += ["its data are others"] if task.digest != before.digest else []
        if told:
            raise ValidationError(
                f"checkpoints: {self.path} holds another training: {', '.join(told)}. Name another folder, or remove it"
            )

    def events(self) -> list[Event]:
        """Return what was told since the last time."""
        try:
            with (self.path / _PROGRESS).open("rb") as file:
                file.seek(self._heard)
                whole, found, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._heard += len(whole) + len(found)
        events = []
        for line in whole.splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # half a line, of a worker that was killed
                events.append(msgspec.json.decode(line, type=Event))
        return events

    def ask_to_stop(self) -> None:
        """Have the crew end at its next step, with a checkpoint."""
        (self.path / _STOP).touch()

    def error(self) -> DureError | None:
        """Return what a worker ended with that would only happen again."""
        path = self.path / _ERROR
        return from_wire(_read(path, dict[str, Any])) if path.exists() else None

    def trained(self) -> Trained | None:
        """Return what the training ended with, if it has."""
        folder = self.path / _OUTCOME
        if not folder.exists():
            return None
        values = _read(folder / _TRAINED, dict[str, Any])
        recipe, history = Recipe.from_dict(values.pop("recipe")), values.pop("history")
        told = tuple(Progress(**point) for point in history)
        return Trained(model=load_model(folder, cpu()), recipe=recipe, history=told, **values)

    def remove(self) -> None:
        """Remove what is a crew's, once the model is published, and the folder if nothing else is in it."""
        for path in list(self.path.iterdir()):
            if path.name.partition(".")[0] not in _OURS:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    # -- for the workers

    def task(self) -> CrewTask:
        """Return what is to be trained.

        Raises:
            ValidationError: This process does not see it, or runs another version of dure.
        """
        if not self.is_seen():
            raise ValidationError(
                f"checkpoints: {os.uname().nodename} does not see {self.path}; name a folder that all nodes share"
            )
        task: CrewTask = _read(self.path / _TRAINING, CrewTask)
        if task.dure != version("dure"):
            raise ValidationError(
                f"{os.uname().nodename} has dure {version('dure')}, and who leads the training has {task.dure}"
            )
        return task

    def is_seen(self) -> bool:
        """Return whether this process sees it."""
        return (self.path / _TRAINING).is_file()

    def parts(self, task: str) -> tuple[Examples, Examples]:
        """Return what is learnt from, and what validates."""
        train, validation = (data_set.read(self.path / name, task) for name in _PARTS)
        return train, validation

    def form(self, size: int) -> None:
        """Tell that a crew has come together; a second time, that a worker was lost before, or there is more room."""
        path = self.path / _SIZE
        note = f"a crew of {size} {'worker' if size == 1 else 'workers'}"
        if path.exists():
            why = "there is more room" if size > _read(path, int) else "a worker was lost"
            note = f"{why}; {note} begins from the last checkpoint"
        _write(path, size)
        with (self.path / _PROGRESS).open("ab") as file:
            file.write(b"\n")  # who was killed may have written half a line
        self.tell(Event(job_id="", note=note))

    def tell(self, event: Event) -> None:
        """Tell how far it is."""
        with (self.path / _PROGRESS).open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")

    def is_to_stop(self) -> bool:
        """Return whether who leads has asked for the end."""
        return (self.path / _STOP).exists()

    def is_led(self) -> bool:
        """Return whether who leads is there; only a process of the same machine can tell."""
        try:
            with (self.path / _LOCK).open("rb") as lock:
                if lock.read() != self.leader.encode():
                    return False  # another leads another crew
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return False

    def finish(self, trained: Trained) -> None:
        """Write what the training ended with; it appears by one rename."""
        partial = self.path / f"{_OUTCOME}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        trained.model.save(partial)
        values = {
            "recipe": trained.recipe.as_dict(),
            "score": trained.score,
            "scores": trained.scores,
            "num_rows": trained.num_rows,
            "history": [asdict(point) for point in trained.history],
            "elapsed_time_s": trained.elapsed_time_s,
        }
        _write(partial / _TRAINED, values)
        partial.rename(self.path / _OUTCOME)

    def fail(self, error: DureError) -> None:
        """Tell of an error that would only happen again."""
        _write(self.path / _ERROR, to_wire(error))


def _write(path: Path, value: object) -> None:
    partial = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}")
    partial.write_bytes(msgspec.json.encode(value))
    partial.rename(path)


def _read(path: Path, kind: Any) -> Any:
    try:
        return cast("Any", msgspec.json.decode(path.read_bytes(), type=kind))
    except (OSError, msgspec.DecodeError) as error:
        raise ValidationError(f"{path} is damaged: {error}. Remove the folder to train from the start") from error
