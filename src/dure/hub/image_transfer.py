"""Images between this machine's engine and a registry, through the Docker SDK, with progress; errors as sentences.

The engine has its own connections and certificates: it is told a name, a digest and an account, and does the rest.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from dure.deps import require
from dure.errors import HubError
from dure.hub.credentials import find_credentials
from dure.hub.engine import EngineFailure, connect, events, explanation
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
        BackendError: No engine answers.
    """
    known = reference.resolved()
    digest = verified_digest(known, key)
    repository = f"{known.registry}/{known.path}"
    with closing(connect()) as engine:
        _follow(engine.api.pull, repository, say, tag=digest, auth_config=account(known.registry))
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
        BackendError: No engine answers.
    """
    if is_offline():
        raise HubError("DURE_OFFLINE says that no registry is asked, and pushing asks one: unset it")
    known = reference.resolved()
    repository = f"{known.registry}/{known.path}"
    with closing(connect()) as engine:
        errors = require("docker.errors", "docker")
        try:
            engine.api.tag(image, repository, known.tag)
        except errors.DockerException as error:
            text = f"there is no image {image!r} on this machine: docker images. ({explanation(error)})"
            raise HubError(text) from error
        digest = _follow(engine.api.push, repository, say, tag=known.tag, auth_config=account(known.registry))
    pushed = replace(known, digest=digest)  # what was pushed, whatever the tag means by now
    return sign_pushed(pushed, sign_key) if sign_key is not None else verified_digest(pushed)


def account(registry: str) -> dict[str, str] | None:
    """Return an account in the SDK's words; None lets it look into Docker's own file."""
    found = find_credentials(registry)
    return {"username": found.user, "password": found.password} if found else None


def _follow(work: Callable[..., Any], repository: str, say: Say | None, **options: Any) -> str:
    """Let the engine push or pull, say how far it is, and return the digest if one is told.

    Raises:
        HubError: It cannot.
    """
    docker = require("docker", "docker")
    digest = ""
    try:
        for step in events(work(repository, stream=True, decode=True, **options)):
            digest = (step.get("aux") or {}).get("Digest", digest)
            if say is not None and step.get("status"):
                parts = (str(step[name]) for name in ("id", "status", "progress") if step.get(name))
                say(" ".join(parts))
    except (docker.errors.DockerException, EngineFailure, OSError) as error:
        name = f"{repository}{'@' if str(options['tag']).startswith('sha256:') else ':'}{options['tag']}"
        raise HubError(f"{name} cannot be {work.__name__}ed: {explanation(error)}") from error
    return digest
