"""A map on a Ray cluster: Ray Data gives the numbers of parts to a pool of actors, and starts again what dies.

Rows never pass through Ray: an actor reads its part and writes it. What comes back is a small row for each.
"""

import contextlib
import importlib
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dure.backends.image import image_name
from dure.backends.ray_cluster import OWN, Cluster
from dure.bulk.job import Done, Job
from dure.bulk.part import Part, Parts
from dure.bulk.ray_actor import PartWorker, Told
from dure.errors import BackendError, DeviceNotFound, SpecError, WorkerCrashed, from_wire
from dure.flow.plan import most_replicas
from dure.flow.source import search_path
from dure.hub.reference import is_reference
from dure.spec import ExecutorSpec
from dure.transport.by_value import dumps
from dure.worker.assignment import Hosted

_MAX_BLOCKS = 4096  # each costs Ray a few milliseconds before anything begins
_LOG_LEVELS = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
"""What Ray Data says of its plans, and that its bars are off, is of no use to who sees ours."""
_HERE = (
    *("uses", "name", "needs", "replicas", "max_replicas", "cpu_threads", "uses_with", "uses_requests", "py_modules"),
    *("device", "device_memory", "env", "cache_size"),
)
"""Settings of an Executor that mean something on Ray; the others are a Flow's."""


class Share(NamedTuple):
    """What an actor takes of its node."""

    num_cpus: float
    num_gpus: float


def check_for_ray(executor: ExecutorSpec) -> None:
    """Refuse settings that only a Flow of this machine can follow.

    Raises:
        SpecError: There is one.
    """
    unsaid = ExecutorSpec(uses="")
    for name in executor.__struct_fields__:
        if name not in _HERE and getattr(executor, name) != getattr(unsaid, name):
            raise SpecError(f"{name}: means nothing with backend='ray'; leave it out")
    if image_name(executor.uses) is not None or is_reference(executor.uses):
        raise SpecError(f"uses: {executor.uses!r}: actors of Ray host classes and files, none of a hub")
    share_of(executor)


def run_on_ray(job: Job, missing: list[Part], done: Done) -> None:
    """Do the parts that are missing.

    Raises:
        DureError: The first that went wrong; the parts that are done stay.
        WorkerCrashed: Workers died again and again.
    """
    with contextlib.closing(Cluster.connect(job.spec.address or OWN, shows_output=True)) as cluster:
        ray = cluster.ray
        share = share_of(job.executor)
        if not job.spec.wait_for_resources:
            _check_room(ray, job.executor, share)
        parts = {part.number: part for part in missing}
        for row in _rows(ray, job, list(parts), share):
            if row["error"]:
                raise from_wire(msgspec.json.decode(row["error"]))
            done(parts[row["part"]])


def _rows(ray: Any, job: Job, numbers: list[int], share: Share) -> Any:
    importlib.import_module("ray.data")
    for name, level in _LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    context = ray.data.DataContext.get_current()
    shown, context.enable_progress_bars = context.enable_progress_bars, False
    executor = job.executor
    data = ray.data.from_items(numbers, override_num_blocks=min(len(numbers), _MAX_BLOCKS)).map_batches(
        PartWorker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=executor.replicas, max_size=most_replicas(executor), max_tasks_in_flight_per_actor=2
        ),
        fn_constructor_args=(msgspec.msgpack.encode(_told(job)),),
        num_cpus=share.num_cpus,
        num_gpus=share.num_gpus,
        runtime_env={"env_vars": executor.env} if executor.env else None,
    )
    rows = iter(data.iter_rows())
    try:
        yield from rows
    except ray.exceptions.RayError as error:
        raise WorkerCrashed(f"the workers of the map died, and others could not take their place: {error}") from error
    finally:
        context.enable_progress_bars = shown


def _told(job: Job) -> Told:
    executor = job.executor
    hosted = Hosted(
        name=executor.name,
        uses=_pickled(_absolute(executor.uses), "uses"),
        uses_with=_pickled(executor.uses_with, "uses_with"),
        uses_requests=executor.uses_requests,
        py_modules=[str(Path(path).resolve()) for path in executor.py_modules],
        batching=None,
    )
    return Told(
        sys_path=search_path(),
        hosted=hosted,
        device=None if executor.device is None else "cuda" if share_of(executor).num_gpus else "cpu",
        cache_size=executor.cache_size,
        source=job.source,
        text=job.spec.text,
        folder=str(job.folder.path),
        parts=Parts(job.source.num_rows, job.spec.part_rows),
        on=job.on,
        parameters=job.spec.parameters,
        request_size=job.spec.request_size,
    )


def _absolute(uses: Any) -> Any:
    """Return a file or folder with its whole path: a worker's own folder is another."""
    if not isinstance(uses, str | Path):
        return uses
    path, found, name = str(uses).rpartition(":") if ".py:" in str(uses) else (str(uses), "", "")
    return f"{Path(path).resolve()}{found}{name}" if os.path.exists(path) else uses


def _pickled(value: Any, path: str) -> bytes:
    try:
        return dumps(value)
    except Exception as error:
        raise SpecError(f"{path}: cannot be handed to another process: {type(error).__name__}: {error}") from error


def share_of(executor: ExecutorSpec) -> Share:
    """Return what an actor takes: a core for each thread, and a GPU, or a share of one.

    Raises:
        SpecError: A device that a cluster has no word for.
    """
    cores = float(executor.cpu_threads or 1)
    if executor.device in ("gpu", "cuda"):
        memory = 1.0 if executor.device_memory is None else executor.device_memory
        if not isinstance(memory, float) or not 0 < memory <= 1:
            raise SpecError(f"device_memory: on Ray a share of a GPU, such as 0.5, not {memory!r}")
        return Share(cores, memory)
    if executor.device not in (None, "cpu"):
        raise SpecError(f"device: on Ray cpu or gpu: Ray chooses which one; not {executor.device!r}")
    if executor.device_memory is not None:
        raise SpecError("device_memory: says how much, but `device` does not say of what; say device='gpu'")
    return Share(cores, 0.0)


def _check_room(ray: Any, executor: ExecutorSpec, share: Share) -> None:
    """Refuse what the cluster as it is could never start; Ray would wait for it to grow.

    Raises:
        DeviceNotFound: It has fewer GPUs.
        BackendError: It has fewer cores.
    """
    has = ray.cluster_resources()
    for name, wanted, kind in (
        ("GPU", share.num_gpus * executor.replicas, DeviceNotFound),
        ("CPU", share.num_cpus * executor.replicas, BackendError),
    ):
        if wanted > has.get(name, 0):
            raise kind(
                f"replicas: {executor.replicas} of them take {wanted:g} {name}s, and the Ray cluster has"
                f" {has.get(name, 0):g} on {len(ray.nodes())} node(s). If it is to grow: wait_for_resources=True"
                " (--wait-for-resources)"
            )
