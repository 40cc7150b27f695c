"""An image that is not here yet, fetched from the registry that its name says, with how far it is told meanwhile.

A short name (`sentence-encoder`) is fetched from nowhere: on a public registry it could be anybody's.
"""

import sys
import time
from typing import Any

from dure.errors import BackendError
from dure.hub.engine import EngineFailure, events, explanation
from dure.hub.image_transfer import account
from dure.log import LIFECYCLE, get_logger
from dure.offline import is_offline

_LINE_EVERY_S = 10.0


def registry_of(image: str) -> str:
    """Return the registry that an image's name says, e.g. `ghcr.io`; empty where it says none."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def pull(docker: Any, client: Any, image: str, path: str) -> None:
    """Fetch an image.

    Args:
        docker: The Docker SDK.
        client: Its low-level client.
        image: The name, with its registry; a tag or digest, else `latest`.
        path: Where it was said, for messages.

    Raises:
        BackendError: It cannot be had; the message says why and what to do.
    """
    if is_offline():
        raise BackendError(
            f"{path}.uses: there is no image {image!r} on this machine, and DURE_OFFLINE says to fetch nothing"
        )
    get_logger("flow").log(LIFECYCLE, "pulling the image %s", image)
    begin = time.monotonic()
    name, tag = docker.utils.parse_repository_tag(image)
    try:
        told = client.pull(name, tag=tag or "latest", stream=True, decode=True, auth_config=account(registry_of(image)))
        with _Progress(image) as progress:
            for event in events(told):
                progress.update(event)
    except (docker.errors.DockerException, EngineFailure, OSError) as error:
        why = _hint(explanation(error), image)
        raise BackendError(f"{path}.uses: the image {image!r} could not be pulled: {why}") from error
    get_logger("flow").log(LIFECYCLE, "pulled the image %s in %.1f s", image, time.monotonic() - begin)


def _hint(text: str, image: str) -> str:
    low = text.lower()
    host = registry_of(image)
    hints = {
        ("unauthorized", "denied", "authentication required", "no basic auth"): f"log in: docker login {host}",
        ("manifest unknown", "not found", "does not exist", "name unknown"): "is the name right, and the tag?",
        ("no matching manifest", "no match for platform"): "it is there for another kind of processor only",
        ("no space left",): "make room: docker system df shows what takes it",
        ("x509", "certificate"): "the engine does not trust the registry's certificate: its CA belongs into"
        f" /etc/docker/certs.d/{host}/ca.crt",
        ("connection refused", "no such host", "timeout", "lookup"): f"{host} does not answer the engine",
    }
    fix = next((fix for words, fix in hints.items() if any(word in low for word in words)), "")
    return f"{text}: {fix}" if fix else text


class _Progress:
    """Bytes of all layers: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._bar: Any = None
        self._task: Any = None
        self._next_line = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> "_Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self._image, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, event: dict[str, Any]) -> None:
        """Take in one event of the engine."""
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and "total" in detail:
            self._layers[event["id"]] = (detail.get("current", 0), detail["total"])
        elif event.get("status") in ("Download complete", "Pull complete") and event.get("id") in self._layers:
            total = self._layers[event["id"]][1]
            self._layers[event["id"]] = (total, total)
        done, total = (sum(numbers) for numbers in zip(*self._layers.values(), strict=True)) if self._layers else (0, 0)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total or None)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_S
            text = "pulling the image %s: %.0f of %.0f MB"
            get_logger("flow").log(LIFECYCLE, text, self._image, done / 1e6, total / 1e6)
