"""What a worker in a container is made of: the image and what the container may have, with every safe default.

Values only; who talks to the engine is `engine.py`. Also which of Docker's own words may be given besides.
"""

from typing import Any

from msgspec import Struct

from dure.backends.gpus import Gpus
from dure.backends.volumes import Volume
from dure.errors import SpecError
from dure.hub.reference import is_reference, parse_reference

PORT = 8080
"""Where a worker listens inside its container."""

_OWN = {
    "auto_remove": "dure removes it",
    "command": "the worker is the command",
    "detach": "it always is",
    "device_requests": "say gpus=",
    "entrypoint": "the worker is the entry point",
    "environment": "say env=",
    "image": "it stands in uses",
    "labels": "they are how dure knows its containers",
    "mem_limit": "say max_memory=",
    "name": "dure names it",
    "nano_cpus": "say max_cpus=",
    "network": "say network=",
    "network_mode": "say network=",
    "pids_limit": "say max_processes=",
    "ports": "dure publishes one port, on loopback",
    "user": "say user=",
    "volumes": "say volumes=",
}


class ContainerSettings(Struct, frozen=True, kw_only=True):
    """One kind of container.

    `path` is where the settings stand, for messages. None and empty values leave a thing to the image or the engine.
    """

    path: str
    image: str
    gpus: Gpus | None = None
    volumes: tuple[Volume, ...] = ()
    cache: bool = False
    user: str | None = None
    max_memory_bytes: int | None = None
    max_cpus: float | None = None
    max_processes: int | None = None
    network: str | None = None
    docker_kwargs: dict[str, Any] = {}


def image_name(uses: Any) -> str | None:
    """Return the image that `uses` names, `docker://image` or `hub+docker://Name/tag`; None if it names none.

    Raises:
        SpecError: A reference to a hub that cannot be read.
    """
    if is_reference(uses):
        reference = parse_reference(uses)
        return reference.image_name() if reference.is_image else None
    if not isinstance(uses, str) or not uses.startswith("docker://"):
        return None
    return uses.removeprefix("docker://")


def check_docker_kwargs(kwargs: dict[str, Any], path: str) -> None:
    """Refuse Docker's words for what dure has its own settings for.

    Raises:
        SpecError: One of them.
    """
    for key in kwargs:
        if key in _OWN:
            raise SpecError(f"{path}.docker_kwargs.{key}: cannot be given here: {_OWN[key]}")


def user_of(settings: ContainerSettings, of_image: str) -> str:
    """Return as whom the worker runs: as was said, else the image's user, else a number that is nobody's."""
    if settings.user is not None:
        return settings.user
    name = of_image.partition(":")[0]
    return "10001:10001" if name in ("", "root", "0") else of_image


def is_root(user: str) -> bool:
    """Whether a user, as written for the engine, is root."""
    return user.partition(":")[0] in ("root", "0")
