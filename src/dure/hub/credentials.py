"""Who one is to a registry: DURE_HUB_USER and DURE_HUB_PASSWORD for the registry of DURE_HUB, else what Docker knows.

Reads Docker's own config.json and asks its credential helpers, as `docker login` left them; writes nothing.
"""

import base64
import binascii
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from dure.errors import HubError
from dure.hub.reference import parse_hub

_ANSWER_S = 20.0


class Credentials(NamedTuple):
    """A user and a password, and where they come from."""

    user: str
    password: str
    origin: str


def find_credentials(registry: str) -> Credentials | None:
    """Look for what a registry shall be told.

    Args:
        registry: `host[:port]`.

    Raises:
        HubError: Docker's file or a helper is broken, or a password without a user was given.
    """
    user, password = os.environ.get("DURE_HUB_USER"), os.environ.get("DURE_HUB_PASSWORD")
    if (user is None) != (password is None):
        raise HubError("DURE_HUB_USER and DURE_HUB_PASSWORD: set both, or neither")
    # To no other registry: whoever writes a reference would choose who is told the password.
    if user is not None and password is not None and registry == parse_hub(os.environ.get("DURE_HUB", ""))[0]:
        return Credentials(user, password, "DURE_HUB_USER and DURE_HUB_PASSWORD")
    return _of_docker(registry)


def docker_config() -> Path:
    """Return where Docker keeps its config.json."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def _of_docker(registry: str) -> Credentials | None:
    path = docker_config()
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise HubError(f"{path}: cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise HubError(f"{path}: is not what Docker writes")
    keepers, auths = config.get("credHelpers") or {}, config.get("auths") or {}
    if registry in keepers:
        return _ask(str(keepers[registry]), registry)
    entry = auths.get(registry) or auths.get(f"https://{registry}") or {}
    if entry.get("auth"):
        return _decode(entry["auth"], f"{path}: auths of {registry}")
    return _ask(str(config["credsStore"]), registry) if config.get("credsStore") else None


def _decode(auth: Any, origin: str) -> Credentials:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise HubError(f"{origin}: is not what Docker writes: {error}") from error
    if not colon:
        raise HubError(f"{origin}: is not what Docker writes. Log in again: docker login")
    return Credentials(user, password, origin)


def _ask(keeper: str, registry: str) -> Credentials | None:
    if not re.fullmatch(r"[\w.-]+", keeper):
        raise HubError(f"{docker_config()}: {keeper!r} is no name of a credential helper")
    program = f"docker-credential-{keeper}"
    try:
        answer = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HubError(f"{program}, which {docker_config()} names, did not answer: {error}") from error
    if answer.returncode:
        return None  # how a helper says that it knows nothing of this registry
    try:
        told = json.loads(answer.stdout)
        return Credentials(told["Username"], told["Secret"], program)
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(f"{program}: what it answered cannot be read") from error
