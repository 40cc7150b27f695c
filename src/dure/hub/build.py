"""An image of a bundle, built by the Docker Engine from a context: progress as it comes, failures as sentences.

Knows the engine's stream of messages; what is sent is `context.py`'s, what the Dockerfile says `dockerfile.py`'s.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from dure.deps import require
from dure.errors import HubError
from dure.hub.engine import EngineFailure, events, explanation

_KEPT_LINES = 40
_TOLD_LINES = 8
_NO_BASE = re.compile(
    r"manifest (?:for .* not found|unknown)|pull access denied|repository .* not found|no such host|dial tcp"
    r"|failed to resolve|i/o timeout|TLS handshake|connection refused|unauthorized",
    re.IGNORECASE,
)
_NO_PACKAGE = re.compile(r"No matching distribution found for (.+)")
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be built.

    Args:
        tag: Name of the image.
        dockerfile: Its path in the context.
        base: What it is made from, for messages.
        arguments: Build arguments.
        labels: Labels, over those of the Dockerfile.
        network: Of the build's own containers; the engine's own where none is named.
        fresh: Whether every step is done again.
    """

    tag: str
    dockerfile: str
    base: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A step of the image that holds something.

    Args:
        size_bytes: What it adds, unpacked.
        made_by: The instruction.
    """

    size_bytes: int
    made_by: str


@dataclass(frozen=True, slots=True)
class Image:
    """What was built.

    Args:
        name: Its tag.
        id: `sha256:…`.
        size_bytes: All layers, unpacked, those of the base included.
        layers: From the base up.
    """

    name: str
    id: str
    size_bytes: int
    layers: tuple[Layer, ...]


def build(client: Any, context: IO[bytes], order: Order, tell: Callable[[str], None]) -> Image:
    """Build an image.

    Args:
        client: Of the Docker SDK.
        context: The archive that is sent.
        order: What is to be built.
        tell: Is given each line that the engine writes.

    Raises:
        HubError: The base cannot be had, a requirement not be installed, the disk is full, or a step failed: with the
            last lines that were written.
    """
    docker = require("docker", "docker")
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=order.dockerfile,
            tag=order.tag,
            buildargs=dict(order.arguments),
            labels=dict(order.labels),
            network_mode=order.network,
            nocache=order.fresh,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for line in _lines(stream):
            lines.append(line)
            tell(line)
        found = client.images.get(order.tag)
    except EngineFailure as failed:
        raise HubError(_why(str(failed), lines, order)) from failed
    except docker.errors.ImageNotFound as error:
        raise HubError(f"{order.tag}: the engine built it and does not have it: {explanation(error)}") from error
    except docker.errors.APIError as error:
        raise HubError(_why(explanation(error), lines, order)) from error
    except OSError as error:
        raise HubError(f"{order.tag}: the connection to the Docker Engine was lost: {error}") from error
    return Image(order.tag, str(found.id), int(found.attrs["Size"]), tuple(_layers(found.history())))


def _lines(messages: Iterable[Any]) -> Iterator[str]:
    for message in events(messages):
        text = message.get("stream") or message.get("status") or ""
        if message.get("id") and "stream" not in message:
            text = f"{message['id']}: {text}" if message.get("progressDetail") in (None, {}) else ""
        yield from (line for line in map(str.rstrip, str(text).splitlines()) if line)


def _why(reason: str, lines: Iterable[str], order: Order) -> str:
    """Make a sentence of how a build ended, and what to do about it."""
    written = [line for line in lines if not line.lstrip().startswith("--->")]
    said = "\n".join([*written, reason])
    if "no space left on device" in said.lower():
        return (
            f"{order.tag}: the disk is full where the engine keeps its images ({reason}). Make room: docker system df"
            " tells what takes it, docker image prune removes what nothing uses."
        )
    package = _NO_PACKAGE.search(said)
    last = "\n".join(f"  {line}" for line in written[-_TOLD_LINES:])
    if package is not None:
        return (
            f"{order.tag}: pip finds no {package[1].strip()}. Look at the name and version in the requirements; where"
            f" pypi.org cannot be reached, give wheels: --wheels FOLDER. Its last words:\n{last}"
        )
    steps = [found for line in written if (found := _STEP.match(line))]
    in_base = not steps or steps[-1][3].upper().startswith("FROM")
    if in_base and _NO_BASE.search(reason):
        return (
            f"{order.tag}: the base {order.base!r} is not on this machine and cannot be pulled: {reason}. Pull it where"
            f" that can be done (docker save, docker load), or name another: --base IMAGE."
        )
    at = f" at step {steps[-1][1]} of {steps[-1][2]} ({steps[-1][3]:.100})" if steps else ""
    return f"{order.tag}: the build failed{at}: {reason}\n{last}".rstrip()


def _layers(history: Iterable[dict[str, Any]]) -> Iterator[Layer]:
    for entry in reversed(list(history)):
        if entry["Size"]:
            text = re.sub(r"^/bin/sh -c (?:#\(nop\) *)?", "", str(entry.get("CreatedBy") or entry.get("Comment") or ""))
            yield Layer(int(entry["Size"]), re.sub(r"\s+", " ", text).strip() or "the base")
