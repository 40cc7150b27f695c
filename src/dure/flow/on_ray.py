"""A Ray cluster as the place of a Flow's workers: each replica is an actor, and Ray says on which node.

Connects, reserves placement groups where they are asked for, and lets go of both. What replicas ask for is in
`ray_plan.py`.
"""

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from dure.backends.ray_actor import RayHost, actor_class, below
from dure.backends.ray_cluster import AUTO, Cluster
from dure.backends.slot import Worker
from dure.errors import SpecError
from dure.flow.plan import Placement
from dure.flow.ray_plan import GROUP, RayPlan, check_room, make_ray_plan, options_of, told
from dure.flow.unit import Unit, by_units
from dure.spec import ExecutorSpec, FlowSpec

_LOOK_S = 0.2
_FREED_S = 4.0  # what ended just now is free again a moment later


class OnRay:
    """A cluster that this process is connected to.

    Args:
        address: `auto` if not given; `host:port`, or `ray://host:port`.
        runtime_env: What Ray is to bring to its nodes, in Ray's own words, e.g. `{"working_dir": "."}`.
        wait_for_resources: Whether to wait where the cluster has no room now.

    Raises:
        DureError: It cannot be joined.
    """

    def __init__(self, address: str | None, runtime_env: dict[str, Any] | None, *, wait_for_resources: bool) -> None:
        self._cluster = Cluster.connect(address or AUTO, runtime_env)
        self._waits = wait_for_resources
        self._folder = (runtime_env or {}).get("working_dir")
        self._groups: dict[str, list[Any]] = {}

    def plan(self, spec: FlowSpec) -> RayPlan:
        """Return what every replica asks for, and what the cluster has."""
        return make_ray_plan(by_units(spec), self._cluster.nodes(), self._cluster.address)

    def workers(self, spec: FlowSpec, units: Sequence[Unit]) -> list[Worker]:
        """Return what the replicas are begun with; placement groups are reserved, and room is looked for."""
        plan = self._plan_with_room(spec, [unit.spec for unit in units])
        workers: list[Worker] = []
        for unit in units:
            places = [place for place in plan.placements if place.executor == unit.spec.name]
            group = self._group(unit.spec, places)
            workers += self._carried(unit).workers(spec, plan, partial(self._host, group))
        return workers

    def settle(self, unit: str, *, swapped: bool) -> None:
        """Let go of the placement group that is not used any more."""
        groups = self._groups.get(unit, [])
        if len(groups) > 1:
            self._remove(groups.pop(0 if swapped else -1))

    def close(self) -> None:
        """Remove the placement groups, and let go of the cluster."""
        for groups in self._groups.values():
            for group in groups:
                self._remove(group)
        self._groups.clear()
        self._cluster.close()

    def _carried(self, unit: Unit) -> Unit:
        """Return a unit whose files are named as they are found in the folder that Ray brings to its nodes."""
        members = [msgspec.structs.replace(m, uses=below(self._folder, m.uses)) for m in unit.members]
        return unit._replace(members=members)

    def _plan_with_room(self, spec: FlowSpec, executors: list[ExecutorSpec]) -> RayPlan:
        deadline = time.monotonic() + _FREED_S
        while True:
            plan = self.plan(spec)
            try:
                if not self._waits:
                    check_room(plan, executors)
            except SpecError:
                all_free = [msgspec.structs.replace(node, free=node.total) for node in plan.nodes]
                check_room(msgspec.structs.replace(plan, nodes=tuple(all_free)), executors)
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_S)
            else:
                return plan

    def _host(self, group: Any, spec: ExecutorSpec, place: Placement) -> RayHost:
        options = options_of(spec, place)
        if group is not None:
            from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(group, place.replica)
        try:
            actor_class(self._cluster.ray).options(**options)
        except (TypeError, ValueError) as error:
            raise SpecError(f"{spec.name}.ray_options: {error}") from error
        return RayHost(self._cluster, told(place.asks), options, self._folder)

    def _group(self, spec: ExecutorSpec, places: list[Placement]) -> Any:
        strategy = spec.ray_options.get(GROUP)
        if strategy is None:
            return None
        group = self._cluster.ray.util.placement_group([place.asks for place in places], strategy=strategy)
        self._groups.setdefault(spec.name, []).append(group)
        return group

    def _remove(self, group: Any) -> None:
        with contextlib.suppress(Exception):  # Ray has let go of it already, with the connection
            self._cluster.ray.util.remove_placement_group(group)
