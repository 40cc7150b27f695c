"""What one worker process hosts: an Executor, or a group of them that hand documents on without copying.

From settings to what workers and gateway are told. Starts nothing.
"""

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from dure.backends.container import ContainerHost
from dure.backends.host import Host
from dure.backends.image import image_name
from dure.backends.process import ProcessHost
from dure.backends.slot import Worker
from dure.errors import SpecError
from dure.flow.container import container_of, task_of
from dure.flow.graph import order
from dure.flow.plan import THREAD_VARIABLES, Placement, most_replicas
from dure.flow.source import check_source, source_of
from dure.gateway.assignment import Node
from dure.spec import GATEWAY, ExecutorSpec, FlowSpec
from dure.transport.by_value import dumps
from dure.worker.assignment import Assignment, Hosted

HostOf: TypeAlias = Callable[[ExecutorSpec, Placement], Host]
"""Says what begins the worker of a place."""

_OF_THE_PROCESS = (
    "replicas",
    "max_replicas",
    "concurrency",
    "cpu_threads",
    "device",
    "device_memory",
    "env",
    "cache_size",
    "max_queue_size",
    "max_call_s",
    "timeout_ready_s",
    "gpus",
    "max_memory",
    "max_cpus",
    "ray_options",
)
"""Settings that a group has once: the first of its Executors says them for all."""


class Placed(Protocol):
    """A plan, whatever kind of place it is for."""

    @property
    def placements(self) -> tuple[Placement, ...]:
        """The places of all replicas."""


class Unit(NamedTuple):
    """One kind of worker: the settings of its process, under the unit's name, what it hosts, and whom it needs."""

    spec: ExecutorSpec
    members: list[ExecutorSpec]
    needs: list[str]

    def node(self) -> Node:
        """Return what the gateway is told of it."""
        spec = self.spec
        return Node(
            needs=self.needs,
            max_queue_size=spec.max_queue_size,
            max_call_s=spec.max_call_s,
            replicas=spec.replicas,
            max_replicas=most_replicas(spec),
        )

    def workers(self, flow: FlowSpec, plan: Placed, host_of: HostOf | None = None) -> list[Worker]:
        """Return for each replica what its worker is told, its environment variables, and what begins it.

        Args:
            flow: The Flow.
            plan: Where its replicas run.
            host_of: Says what begins the worker of a place; this machine does, if not given.

        Raises:
            SpecError: A setting that cannot be handed to another process.
        """
        source = source_of(self.spec)
        places = [place for place in plan.placements if place.executor == self.spec.name]
        return [
            Worker(
                self._assignment(place, source.sys_path),
                {**source.env, **_environment(flow, self.spec, place)},
                self._host(place, source.python) if host_of is None else host_of(self.spec, place),
            )
            for place in places
        ]

    def _host(self, place: Placement, python: str) -> Host:
        settings = container_of(self.spec)
        return ProcessHost(python) if settings is None else ContainerHost(settings, task_of(self.spec, place))

    def _assignment(self, place: Placement, sys_path: list[str]) -> Assignment:
        return Assignment(
            sys_path=sys_path,
            name=self.spec.name,
            replica=place.replica,
            replicas=most_replicas(self.spec),
            hosted=[_hosted(member) for member in self.members if image_name(member.uses) is None],
            device=place.device,
            context=place.context,
            concurrency=self.spec.concurrency,
            cache_size=self.spec.cache_size,
            address="",
        )


def units_of(executors: Sequence[ExecutorSpec]) -> list[Unit]:
    """Return the units of a Flow, each after all that it needs.

    Raises:
        SpecError: A group that is no chain, or whose Executors want different processes; what `order` refuses.
    """
    needs = order(executors)
    specs = {spec.name: spec for spec in executors}
    unit_of = {name: specs[name].group or name for name in needs}
    hosted: dict[str, list[str]] = {}
    for name in needs:
        hosted.setdefault(unit_of[name], []).append(name)
    units: list[Unit] = []
    for unit, names in hosted.items():
        members = [specs[name] for name in names]
        for member in members:
            container_of(member)
            check_source(member)
        _check_group(unit, members, needs, specs)
        sources = [s if s == GATEWAY else _exit_of(hosted[unit_of[s]], s, unit_of[s]) for s in needs[names[0]]]
        units.append(Unit(_process_of(unit, members), members, sources))
    return units


def by_units(spec: FlowSpec) -> FlowSpec:
    """Return a Flow with one entry for each kind of worker: a group is one, under its own name."""
    return msgspec.structs.replace(spec, executors=[unit.spec for unit in units_of(spec.executors)])


def _check_group(unit: str, members: list[ExecutorSpec], needs: dict[str, list[str]], specs: dict[str, Any]) -> None:
    if members[0].group is None:
        return
    if unit in specs or unit == GATEWAY or not unit.isidentifier():
        raise SpecError(f"{members[0].name}.group: must be a Python identifier that names nothing else, not {unit!r}")
    for before, member in pairwise(members):
        if needs[member.name] != [before.name]:
            raise SpecError(
                f"{member.name}.group: in the group {unit!r} each Executor takes its documents from the one before, so"
                f" {member.name!r} must need {before.name!r} alone, not {', '.join(needs[member.name])}"
            )


def _exit_of(names: list[str], source: str, unit: str) -> str:
    if names[-1] != source:
        raise SpecError(
            f"needs: {source!r} is inside the group {unit!r}, which documents leave at its end, {names[-1]!r};"
            " need that one, or take it out of the group"
        )
    return unit


def _process_of(unit: str, members: list[ExecutorSpec]) -> ExecutorSpec:
    first = members[0]
    unsaid = ExecutorSpec(uses="")
    for member in members[1:]:
        for name in _OF_THE_PROCESS:
            value = getattr(member, name)
            if value not in (getattr(unsaid, name), getattr(first, name)):
                raise SpecError(
                    f"{member.name}.{name}: the Executors of the group {unit!r} share one process, for which"
                    f" {first.name!r} says {name}; leave it out here, not {value!r}"
                )
    return msgspec.structs.replace(first, name=unit)


def _hosted(spec: ExecutorSpec) -> Hosted:
    return Hosted(
        name=spec.name,
        uses=_pickled(source_of(spec).uses, f"{spec.name}.uses"),
        uses_with=_pickled(spec.uses_with, f"{spec.name}.uses_with"),
        uses_requests=spec.uses_requests,
        py_modules=[str(Path(path).resolve()) for path in spec.py_modules],
        batching=spec.batching,
    )


def _pickled(value: Any, path: str) -> bytes:
    try:
        return dumps(value)
    except Exception as error:
        raise SpecError(f"{path}: cannot be handed to another process: {type(error).__name__}: {error}") from error


def _environment(flow: FlowSpec, spec: ExecutorSpec, place: Placement) -> dict[str, str]:
    given = {**flow.env, **spec.env}
    threads = {name: str(place.threads) for name in THREAD_VARIABLES}
    said = {**os.environ, **given} if spec.cpu_threads is None else {}
    if not said.keys().isdisjoint(THREAD_VARIABLES):
        threads = {}
    return {**threads, **given, **place.env}
