"""Which GPUs: the words people write, read once, and said again to Docker or to CUDA.

    all · 2 · 0,1 · device=0,1 · GPU-4f2c… · MIG-8a1b… · 0:1 · driver=nvidia · capabilities=compute,utility · count=2

A number alone is how many; several numbers, and numbers in a list, are which. Knows no machine: whether a GPU is there
is for others to say.
Source: the grammar of `docker run --gpus`, https://docs.docker.com/engine/containers/resource_constraints/#gpu
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from dure.errors import DeviceNotFound, SpecError
from dure.spec import suggest

ALL = -1
_KEYS = ("device", "count", "driver", "capabilities")
_CAPABILITIES = ("gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display", "ngx")
_ID = re.compile(r"[0-9]{1,4}(?::[0-9]{1,3})?|GPU-[0-9a-fA-F][0-9a-fA-F-]{3,35}|MIG-[0-9a-zA-Z][0-9a-zA-Z/-]{3,63}")
_TOKEN = re.compile(r"[^,]+|(?<=,)(?=,|$)|^(?=,|$)")
_FORMS = "Written are: all, 2 (how many), 0,1 or device=0,1 (which), GPU-… or MIG-… ids, driver=, capabilities=."


class Gpus(Struct, frozen=True, kw_only=True):
    """A wish for GPUs.

    Either `count` says how many, `ALL` for every one, or `ids` say which.
    """

    count: int = 0
    ids: tuple[str, ...] = ()
    driver: str = ""
    capabilities: tuple[str, ...] = ()

    def __str__(self) -> str:
        which = (
            [f"device={','.join(self.ids)}"] if self.ids else ["all" if self.count == ALL else f"count={self.count}"]
        )
        which += [f"driver={self.driver}"] if self.driver else []
        which += [f"capabilities={','.join(self.capabilities)}"] if self.capabilities else []
        return ",".join(which)

    def docker(self) -> dict[str, Any]:
        """Return the fields of the engine's DeviceRequest."""
        rest = [name for name in self.capabilities if name != "gpu"]
        return {
            "driver": self.driver,
            "count": self.count,
            "device_ids": list(self.ids) or None,
            "capabilities": [["gpu", *rest]],
        }

    def cuda(self, visible: Sequence[str], path: str) -> str:
        """Return the value of CUDA_VISIBLE_DEVICES.

        Args:
            visible: How each GPU that there is is written there, in order.
            path: Of the setting, for messages.

        Raises:
            DeviceNotFound: A GPU that is not there.
            SpecError: Words that mean nothing without a container.
        """
        if self.driver or self.capabilities:
            word = "driver" if self.driver else "capabilities"
            raise SpecError(f"{path}: {word}= is for containers; a worker on this machine sees the driver there is")
        have = f"there {'is' if len(visible) == 1 else 'are'} {len(visible) or 'none'}"
        if self.count == ALL:
            if not visible:
                raise DeviceNotFound(f"{path}: 'all' asks for the GPUs of this machine, and {have}")
            return ",".join(visible)
        if self.count > len(visible):
            raise DeviceNotFound(f"{path}: {self.count} GPUs are asked for, and {have}")
        return ",".join(visible[: self.count] if self.count else [_visible_as(one, visible, path) for one in self.ids])


def parse_gpus(value: Any, path: str) -> Gpus:
    """Read a setting.

    Args:
        value: A text, a whole number (how many), or a list of numbers and ids (which).
        path: Where it stands, for messages, e.g. `executors[1].gpus`.

    Raises:
        SpecError: A word that is not understood, with a caret under it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    elif isinstance(value, list | tuple):
        if not value or not all(isinstance(one, int | str) and not isinstance(one, bool) for one in value):
            raise SpecError(f"{path}: a list names GPUs, by numbers and ids, e.g. [0, 1]; not {value!r:.60}")
        value = "device=" + ",".join(str(one) for one in value)
    if isinstance(value, float):
        raise SpecError(f"{path}: {value!r}: a part of a GPU is Ray's to give, with start(backend='ray'). {_FORMS}")
    if not isinstance(value, str):
        raise SpecError(f"{path}: {value!r:.60} is no text, number or list. {_FORMS}")
    return _Reader(value, path).read()


class _Token(NamedTuple):
    text: str
    at: int


class _Reader:
    """Reads one text, from left to right; what a word means depends on the key before it."""

    def __init__(self, text: str, path: str) -> None:
        self._text, self._path = text, path
        self._count = 0
        self._ids: list[str] = []
        self._driver = ""
        self._capabilities: list[str] = []
        self._key = ""
        self._seen: set[str] = set()
        self._which = self._several_ids()

    def read(self) -> Gpus:
        for token in self._tokens():
            key, found, word = token.text.partition("=")
            if found:
                self._begin(_Token(key.strip(), token.at))
                token = _stripped(word, token.at + len(key) + 1)
            self._take(token)
        if not self._count and not self._ids:
            self._count = 1  # as Docker has it: a driver alone is one GPU of it
        return Gpus(
            count=self._count, ids=tuple(self._ids), driver=self._driver, capabilities=tuple(self._capabilities)
        )

    def _tokens(self) -> Iterator[_Token]:
        # Docker's own pages write '"device=0,1"' for a shell; the quotes mean nothing here.
        text = self._text.replace('"', " ").replace("'", " ")
        for match in _TOKEN.finditer(text):
            yield _stripped(match[0], match.start())

    def _several_ids(self) -> bool:
        words = [token.text for token in self._tokens()]
        return len(words) > 1 and all(not word or _ID.fullmatch(word) for word in words)

    def _begin(self, key: _Token) -> None:
        if key.text not in _KEYS:
            self._fail(key, f"{key.text!r} is no key.{suggest(key.text, _KEYS)} Keys are: {', '.join(_KEYS)}.")
        if key.text in self._seen and key.text != "device":
            self._fail(key, f"{key.text} stands there twice.")
        self._key = key.text
        self._seen.add(key.text)

    def _take(self, token: _Token) -> None:
        if not token.text:
            self._fail(token, "a word is missing here.")
        if self._key == "driver":
            self._take_driver(token)
        elif self._key == "capabilities" and token.text != "all" and not _ID.fullmatch(token.text):
            self._take_capability(token)
        elif token.text == "all" or self._key == "count":
            self._take_count(token)
        elif self._key == "device" or self._which or not token.text.isdecimal():
            self._take_id(token)
        else:
            self._take_count(token)

    def _take_driver(self, token: _Token) -> None:
        self._driver, self._key = token.text, ""
        if not re.fullmatch(r"[a-z][a-z0-9._-]*", token.text):
            self._fail(token, f"{token.text!r} is no driver's name. NVIDIA's is nvidia.")

    def _take_capability(self, token: _Token) -> None:
        if token.text in self._capabilities:
            self._fail(token, f"{token.text} stands there twice.")
        if self._driver in ("", "nvidia") and token.text not in _CAPABILITIES:
            known = f"{suggest(token.text, _CAPABILITIES)} NVIDIA's are: {', '.join(_CAPABILITIES)}."
            self._fail(token, f"{token.text!r} is no capability.{known}")
        self._capabilities.append(token.text)

    def _take_count(self, token: _Token) -> None:
        if self._count:
            self._fail(token, f"how many was said before: {'all' if self._count == ALL else self._count}.")
        if self._ids:
            self._fail(token, f"which GPUs was said before ({','.join(self._ids)}); how many cannot be said as well.")
        if token.text != "all" and not token.text.isdecimal():
            self._fail(token, f"{token.text!r} is no number of GPUs.")
        self._count, self._key = ALL if token.text == "all" else int(token.text), ""
        if not self._count:
            self._fail(token, "that is no GPU at all: leave gpus out. The GPU with number 0 is device=0.")

    def _take_id(self, token: _Token) -> None:
        if not _ID.fullmatch(token.text):
            self._fail(token, f"{token.text!r} names no GPU.{suggest(token.text, ['all', *_KEYS])} {_FORMS}")
        if self._count:
            self._fail(token, "how many was said before; which GPUs cannot be said as well.")
        if token.text in self._ids:
            self._fail(token, f"{token.text} stands there twice.")
        self._ids.append(token.text)

    def _fail(self, token: _Token, why: str) -> None:
        caret = " " * token.at + "^" * max(1, len(token.text))
        raise SpecError(f"{self._path}: {why}\n  {self._text}\n  {caret}")


def _stripped(text: str, at: int) -> _Token:
    return _Token(text.strip(), at + len(text) - len(text.lstrip()))


def _visible_as(name: str, visible: Sequence[str], path: str) -> str:
    if not name.isdecimal():
        return name
    if int(name) >= len(visible):
        have = f"0 to {len(visible) - 1}" if visible else "none"
        raise DeviceNotFound(f"{path}: there is no GPU {name} on this machine; there are: {have}")
    return visible[int(name)]
