"""What the settings of an Executor say of its container, and which settings mean something where.

From settings to values; asks neither the disk nor an engine.
"""

from typing import Any

import msgspec

from dure.backends.gpus import parse_gpus
from dure.backends.image import ContainerSettings, check_docker_kwargs, image_name
from dure.backends.volumes import parse_volumes
from dure.errors import SpecError
from dure.flow.plan import Placement, bytes_of, most_replicas
from dure.spec import ExecutorSpec
from dure.worker.plain_control import Task

OF_CONTAINERS = (
    "volumes",
    "cache",
    "user",
    "max_memory",
    "max_cpus",
    "max_processes",
    "network",
    "docker_kwargs",
    "ray_options",
)
"""Settings of an Executor that mean something where an engine or a cluster starts it, and nothing in an image."""

_OF_RAY_TOO = ("max_memory", "max_cpus", "ray_options")

_NOT_OF_CONTAINERS = {
    "group": "a container hosts one Executor",
    "py_modules": "the image holds its own files; name them in its config.yml",
    "device": "a container sees the GPUs that gpus gives it; uses_with={'device': 'cuda'} tells the Executor",
    "device_memory": "a container sees the GPUs that gpus gives it",
    "ray_options": "a container is started by this machine's engine",
}


def container_of(spec: ExecutorSpec) -> ContainerSettings | None:
    """Return what the container of an Executor is made of; None if it runs in none.

    Raises:
        SpecError: A setting that is wrong, or means nothing here.
    """
    image = image_name(spec.uses)
    if image is None:
        only = [name for name in OF_CONTAINERS if name not in _OF_RAY_TOO]
        _refuse(spec, dict.fromkeys(only, "only a container has it: uses='docker://image'"))
        if spec.gpus is not None and not isinstance(spec.gpus, float):  # a part of a GPU is Ray's to give
            parse_gpus(spec.gpus, f"{spec.name}.gpus")
        return None
    gpus = None if spec.gpus is None else parse_gpus(spec.gpus, f"{spec.name}.gpus")
    if not image or image != image.strip():
        raise SpecError(f"{spec.name}.uses: {spec.uses!r} names no image, e.g. docker://sentence-encoder")
    _refuse(spec, _NOT_OF_CONTAINERS)
    if spec.network in ("host", "none"):
        why = "would give up the container's walls" if spec.network == "host" else "publishes no port to reach it by"
        raise SpecError(f"{spec.name}.network: {spec.network!r} {why}; name a network of the engine, or leave it out")
    check_docker_kwargs(spec.docker_kwargs, spec.name)
    return ContainerSettings(
        path=spec.name,
        image=image,
        gpus=gpus,
        volumes=parse_volumes(spec.volumes, f"{spec.name}.volumes"),
        cache=spec.cache,
        user=spec.user,
        max_memory_bytes=None if spec.max_memory is None else bytes_of(spec.max_memory, f"{spec.name}.max_memory"),
        max_cpus=spec.max_cpus,
        max_processes=spec.max_processes,
        network=spec.network,
        docker_kwargs=spec.docker_kwargs,
    )


def task_of(spec: ExecutorSpec, place: Placement) -> Task:
    """Return what the worker in a container is told.

    Raises:
        SpecError: Arguments that are no plain values.
    """
    return Task(
        name=spec.name,
        replica=place.replica,
        replicas=most_replicas(spec),
        uses_with=_plain(spec.uses_with, f"{spec.name}.uses_with"),
        uses_requests=spec.uses_requests,
        batching=spec.batching,
        concurrency=spec.concurrency,
        cache_size=spec.cache_size,
    )


def _refuse(spec: ExecutorSpec, reasons: dict[str, str]) -> None:
    unsaid = ExecutorSpec(uses="")
    for name, reason in reasons.items():
        if getattr(spec, name) != getattr(unsaid, name):
            raise SpecError(f"{spec.name}.{name}: means nothing with uses={spec.uses!r:.60}: {reason}")


def _plain(values: dict[str, Any], path: str) -> dict[str, Any]:
    for name, value in values.items():
        try:
            msgspec.msgpack.encode(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise SpecError(
                f"{path}.{name}: a container is told plain values (texts, numbers, lists, dicts), not"
                f" {type(value).__qualname__}: {error}"
            ) from error
    return values
