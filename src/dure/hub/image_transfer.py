"""Images between this machine's engine and a registry, through the Docker SDK, with progress; errors as sentences.

The engine has its own connections and certificates: it is told a name, a digest and an account, and does the rest.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dure.deps import require
from dure.errors import HubError
from dure.hub.credentials import find_credentials
from dure.hub.publication import sign_pushed
from dure.hub.reference import Reference
from dure.hub.retrieval import verified_digest
from dure.offline import is_offline

Say = Callable[[str], None]
"""Is told a line about how far it is."""


def pull_image(reference: Reference, *, key: Path | None = None, say: Say | None = None) -> tuple[str, str]:
    """Let the engine fetch an image, by the digest that was verified; return its name with the tag, and the digest.

    Args:
        reference: To the image.
        key: Public key that must have signed it; DURE_HUB_KEY's if not given.
        say: Is told progress.

    Raises:
        HubError: It is not there, not signed by that key, or the engine cannot fetch it.
    """
    known = reference.resolved()
    digest = verified_digest(known, key)
    repository = f"{known.registry}/{known.path}"
    with _engine() as engine:
        stream = _steps(engine.api.pull, repository, tag=digest, auth_config=_account(known.registry))
        _follow(stream, f"{repository}@{digest} cannot be pulled", say)
        if not known.digest:
            engine.api.tag(f"{repository}@{digest}", repository, known.tag)
    return known.image_name(), digest


def push_image(image: str, reference: Reference, *, sign_key: Path | None = None, say: Say | None = None) -> str:
    """Push an image of this machine's engine; return its digest in the registry.

    Args:
        image: Its name here.
        reference: Where to.
        sign_key: Private key to sign it with.
        say: Is told progress.

    Raises:
        HubError: There is no such image, or the registry does not take it.
    """
    if is_offline():
        raise HubError("DURE_OFFLINE says that no registry is asked, and pushing asks one: unset it")
    known = reference.resolved()
    repository = f"{known.registry}/{known.path}"
    with _engine() as engine:
        errors = require("docker.errors", "docker")
        try:
            engine.api.tag(image, repository, known.tag)
        except errors.DockerException as error:
            raise HubError(
                f"there is no image {image!r} on this machine: docker images. ({_explained(error)})"
            ) from error
        stream = _steps(engine.api.push, repository, tag=known.tag, auth_config=_account(known.registry))
        digest = _follow(stream, f"{repository}:{known.tag} cannot be pushed", say)
    pushed = replace(known, digest=digest)  # what was pushed, whatever the tag means by now
    return sign_pushed(pushed, sign_key) if sign_key is not None else verified_digest(pushed)


@contextmanager
def _engine() -> Iterator[Any]:
    docker = require("docker", "docker")
    where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        if where.startswith("unix://"):  # the SDK leaves a socket open where nobody is
            with socket.socket(socket.AF_UNIX) as knock:
                knock.connect(where.removeprefix("unix://"))
        client = docker.from_env(timeout=600)
    except (docker.errors.DockerException, OSError) as error:
        raise HubError(
            f"no Docker Engine answers at {where}: start it (sudo systemctl start docker), or install it:"
            f" https://docs.docker.com/engine/install. ({_explained(error)})"
        ) from error
    with closing(client):
        yield client


def _account(registry: str) -> dict[str, str] | None:
    """Return an account in the SDK's words; None lets it look into Docker's own file."""
    found = find_credentials(registry)
    return {"username": found.user, "password": found.password} if found else None


def _steps(action: Callable[..., Any], repository: str, **options: Any) -> Iterable[dict[str, Any]]:
    errors = require("docker.errors", "docker")
    try:
        yield from action(repository, stream=True, decode=True, **options)
    except errors.DockerException as error:
        yield {"error": _explained(error)}


def _follow(stream: Iterable[dict[str, Any]], failed: str, say: Say | None) -> str:
    """Read how far it is, and return the digest if one is told; failures stand in the stream, and nowhere else."""
    digest = ""
    for step in stream:
        digest = (step.get("aux") or {}).get("Digest", digest)
        if "error" in step:
            raise HubError(f"{failed}: {step['error']}")
        if say is not None and step.get("status"):
            parts = (str(step[name]) for name in ("id", "status", "progress") if step.get(name))
            say(" ".join(parts))
    return digest


def _explained(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
