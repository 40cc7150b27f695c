"""A context: the name of a place where data lives and work happens.

A value and nothing more. Whether the place exists is `dure.device.probe`'s to say, at the moment
something is to live there, so `gpu(7)` may be written, planned with and printed on a machine that
has no GPU.
"""

import operator
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, SupportsIndex

from dure.errors import DeviceNotFound
from dure.spec import suggest

Kind = Literal["cpu", "gpu"]

_KINDS = ("cpu", "gpu", "cuda")
_WRITTEN = re.compile(r"([A-Za-z_]+)(?::(-?[0-9]+)|\((-?[0-9]+)\))?")
_FORMS = "Devices are written cpu, gpu, gpu:1, gpu(1), cuda or cuda:1."


@dataclass(frozen=True, slots=True)
class Context:
    """One place: the host (`cpu(0)`) or one GPU (`gpu(1)`).

    All processors of the host share one memory, so there is one `cpu(0)`: any other index names the
    same place.

    Args:
        kind: `cpu` or `gpu`.
        index: Which one, from 0, among the GPUs this process may see.

    Raises:
        DeviceNotFound: No such kind, or the index is not a whole number from 0.
    """

    kind: Kind
    index: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("cpu", "gpu"):
            raise DeviceNotFound(f"{self.kind!r} names no device.{_nearest(self.kind)} {_FORMS}")
        index = _checked_index(self.kind, self.index)
        object.__setattr__(self, "index", 0 if self.kind == "cpu" else index)

    def __repr__(self) -> str:
        return f"{self.kind}({self.index})"

    @property
    def torch_name(self) -> str:
        """What PyTorch calls this place: `cpu`, `cuda:1`."""
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def cpu(index: SupportsIndex = 0) -> Context:
    """Return the host's context; every index names the same place."""
    _checked_index("cpu", index)
    return _context("cpu", 0)


def gpu(index: SupportsIndex = 0) -> Context:
    """Return the context of one GPU, from 0; it need not exist to be named."""
    return _context("gpu", _checked_index("gpu", index))


def parse_context(name: object) -> Context:
    """Read a device's name as people write it: `cpu`, `gpu`, `gpu:1`, `gpu(1)`, `cuda`, `cuda:1`.

    A `Context` is returned as it is.

    Raises:
        DeviceNotFound: Not such a name (with the nearest one that is).
    """
    if isinstance(name, Context):
        return name
    if not isinstance(name, str):
        raise DeviceNotFound(f"A device is named by a string or a Context, not by {name!r}. {_FORMS}")
    match = _WRITTEN.fullmatch(name)
    if match is None or match[1] not in _KINDS:
        raise DeviceNotFound(f"{name!r} names no device.{_nearest(name)} {_FORMS}")
    index = int(match[2] or match[3] or 0)
    return cpu(index) if match[1] == "cpu" else gpu(index)


@lru_cache(maxsize=256)
def _context(kind: Kind, index: int) -> Context:
    # One object per place, so that looking one up compares pointers before anything else.
    return Context(kind, index)


def _checked_index(kind: str, index: object) -> int:
    if type(index) is int and index >= 0:
        return index  # to look for __index__ takes 50 times as long
    if isinstance(index, bool) or not isinstance(index, SupportsIndex):
        raise DeviceNotFound(f"{kind}({index!r}): a device's index is a whole number from 0, not {index!r}.")
    number = operator.index(index)
    if number < 0:
        raise DeviceNotFound(f"{kind}({number}): a device's index starts at 0.")
    return number


def _nearest(name: str) -> str:
    word = re.split(r"[:(]", str(name), maxsplit=1)[0]
    hint = suggest(word.strip().lower(), _KINDS)
    if word.strip().lower() in _KINDS:
        return hint
    rest = re.fullmatch(r"[^:(]*(:[0-9]+|\([0-9]+\))", str(name))
    return hint.replace("'?", f"{rest[1]}'?") if rest else hint
