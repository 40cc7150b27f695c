"""The Docker Engine that DOCKER_HOST names, or this machine's, or Podman's socket: how it is reached.

Uses the Docker SDK, which is an extra. Does not know what is asked of it.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from dure.deps import require
from dure.errors import BackendError

_TIMEOUT_S = 3600
"""A build or a push of gigabytes says nothing for long."""


class EngineFailure(Exception):
    """What the engine says has failed, in the middle of what it tells of its work."""


def connect(timeout_s: float = _TIMEOUT_S) -> Any:
    """Return a client of the SDK, to be closed.

    Raises:
        MissingDependency: The SDK is not installed.
        BackendError: No engine answers.
    """
    docker = require("docker", "docker")
    where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        if where.startswith("unix://"):
            _knock_at(where.removeprefix("unix://"))  # the SDK leaves a socket open where nobody is
        return docker.from_env(timeout=timeout_s)
    except (docker.errors.DockerException, OSError) as error:
        fix = (
            "this user may not speak to it: sudo usermod -aG docker $USER, and log in again"
            if isinstance(error, PermissionError)
            else "start it (sudo systemctl start docker), or install it: https://docs.docker.com/engine/install"
        )
        raise BackendError(f"no Docker Engine answers at {where} ({_last_reason(error)}): {fix}") from error


def events(stream: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the engine tells of a pull, push or build.

    Raises:
        EngineFailure: It failed: the SDK raises nothing for that, and reads on.
    """
    for event in stream:
        if "error" in event:
            raise EngineFailure(str(event["error"]))
        yield event


def explanation(error: Exception) -> str:
    """Return what the engine says of an error of the SDK."""
    return str(getattr(error, "explanation", None) or error).strip()


def _knock_at(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)


def _last_reason(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
