"""What each replica asks of a Ray cluster, and whether the cluster has it: from settings to Ray's words.

Pure: which nodes there are, somebody else has asked. Which GPU a replica gets, and where it runs, Ray decides.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from dure.backends.gpus import ALL, parse_gpus
from dure.backends.image import image_name
from dure.backends.ray_cluster import Node
from dure.device.context import cpu
from dure.device.probe import VISIBLE_VARIABLE
from dure.errors import SpecError
from dure.flow.plan import AUTO, Placement, bytes_of, check_places, most_replicas
from dure.hub.reference import is_reference
from dure.spec import ExecutorSpec, FlowSpec, suggest

GROUP = "placement_group"
STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
"""How Ray may lay out a placement group's bundles."""

_OWN = {
    "get_if_exists": "actors of dure have no names",
    "lifetime": "they end with the Flow",
    "max_concurrency": "concurrency= is how many calls a replica runs at a time",
    "max_restarts": "dure starts them again",
    "max_task_retries": "dure sends again what was not begun",
    "memory": "say max_memory=",
    "name": "actors of dure have no names",
    "namespace": "actors of dure have no names",
    "num_cpus": "say cpu_threads= or max_cpus=",
    "num_gpus": "say gpus=, or device='gpu'",
    "runtime_env": "say start(backend='ray', runtime_env=…), for all of them",
}


class RayPlan(Struct, frozen=True):
    """What every replica asks for, and what the nodes of the cluster have. Printing it gives a table."""

    placements: tuple[Placement, ...]
    nodes: tuple[Node, ...]
    address: str

    def __str__(self) -> str:
        rows = [("executor", "replica", "asks for", "threads", "why")]
        rows += [(p.executor, str(p.replica), told(p.asks), str(p.threads), p.reason) for p in self.placements]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        nodes = [f"  {node.address} has {_had(node.total, node.free)}" for node in self.nodes]
        return "\n".join([*lines, f"the Ray cluster at {self.address}:", *nodes])


def make_ray_plan(spec: FlowSpec, nodes: Sequence[Node], address: str) -> RayPlan:
    """Say what every replica of a Flow asks for.

    Args:
        spec: The Flow.
        nodes: Those of the cluster.
        address: The cluster's.

    Raises:
        SpecError: A setting that makes no sense there.
    """
    check_places(spec)
    has_gpus = any(node.total.get("GPU", 0) for node in nodes)
    placements: list[Placement] = []
    for i, executor in enumerate(spec.executors):
        path = f"executors[{i}]"
        _check(executor, {**spec.env, **executor.env}, path)
        placements += [_place(executor, replica, has_gpus, path) for replica in range(most_replicas(executor))]
    return RayPlan(tuple(placements), tuple(nodes), address)


def options_of(spec: ExecutorSpec, place: Placement) -> dict[str, Any]:
    """Return what Ray is told of one replica's actor, besides its placement group."""
    named = {"CPU", "GPU", "memory"}
    options = {key: value for key, value in spec.ray_options.items() if key not in (GROUP, "resources")}
    options |= {"num_cpus": place.asks["CPU"], "num_gpus": place.asks.get("GPU", 0)}
    if "memory" in place.asks:
        options["memory"] = int(place.asks["memory"])
    resources = {key: value for key, value in place.asks.items() if key not in named}
    return {**options, "resources": resources} if resources else options


def check_room(plan: RayPlan, executors: Iterable[ExecutorSpec]) -> None:
    """Look whether the nodes have room, now, for the replicas that are started first.

    Raises:
        SpecError: They have not; says what each asks for, and what there is.
    """
    specs = {spec.name: spec for spec in executors}
    wanted = [place for place in plan.placements if place.executor in specs]
    wanted = [place for place in wanted if place.replica < specs[place.executor].replicas]
    room = [dict(node.free) for node in plan.nodes]
    taken: dict[str, set[int]] = {}
    for place in sorted(wanted, key=lambda p: (-p.asks.get("GPU", 0), -p.asks["CPU"])):
        strategy = specs[place.executor].ray_options.get(GROUP)
        used = taken.setdefault(place.executor, set())
        may = [n for n in range(len(room)) if _may(strategy, n, used)]
        chosen = next((n for n in may if all(room[n].get(k, 0) >= v for k, v in place.asks.items())), None)
        if chosen is None:
            raise SpecError(_no_room(plan, specs, place, strategy))
        used.add(chosen)
        for key, value in place.asks.items():
            room[chosen][key] -= value


def told(asks: dict[str, float]) -> str:
    """Write resources for people."""
    return ", ".join(_amount(key, value) for key, value in asks.items())


def _may(strategy: str | None, node: int, used: set[int]) -> bool:
    if strategy == "STRICT_SPREAD":
        return node not in used
    return strategy != "STRICT_PACK" or not used or node in used


def _no_room(plan: RayPlan, specs: dict[str, ExecutorSpec], place: Placement, strategy: str | None) -> str:
    wanted = [p for p in plan.placements if p.executor in specs and p.replica == 0]
    asked = "; ".join(f"{p.executor} asks for {told(p.asks)}, {specs[p.executor].replicas} times" for p in wanted)
    keys = list(dict.fromkeys(key for p in wanted for key in p.asks))
    nodes = "".join(
        f"\n  {node.address} has "
        + _had({key: node.total.get(key, 0) for key in keys}, {key: node.free.get(key, 0) for key in keys})
        for node in plan.nodes
    )
    layout = f" laid out as {strategy}" if strategy else ""
    return (
        f"{place.executor}: the Ray cluster at {plan.address} has no room for replica {place.replica}{layout}:"
        f" {asked}.{nodes}\nAsk for less, add nodes, or say wait_for_resources=True (--wait-for-resources) to wait for"
        " room, up to timeout_ready_s"
    )


def _had(total: dict[str, float], free: dict[str, float]) -> str:
    shown = [key for key in total if not key.startswith(("node:", "object_store_memory"))]
    return ", ".join(f"{_amount(key, total[key])} ({_number(key, free.get(key, 0))} free)" for key in shown)


def _amount(key: str, value: float) -> str:
    return f"{_number(key, value)} {key}"


def _number(key: str, value: float) -> str:
    return f"{value / 2**30:.2f} GiB" if key == "memory" else f"{value:g}"


def _place(spec: ExecutorSpec, replica: int, has_gpus: bool, path: str) -> Placement:
    gpus, reason = _gpus(spec, replica, has_gpus, path)
    cpus = spec.max_cpus or float((spec.cpu_threads or 1) * spec.concurrency)
    asks = {"CPU": cpus}
    if gpus:
        asks["GPU"] = gpus
    if spec.max_memory is not None:
        asks["memory"] = float(bytes_of(spec.max_memory, f"{path}.max_memory"))
    asks |= {key: float(value) for key, value in spec.ray_options.get("resources", {}).items()}
    on_cpu = _wish(spec, replica) == "cpu" or (_wish(spec, replica) == AUTO and not gpus)
    return Placement(
        executor=spec.name,
        replica=replica,
        context=cpu() if on_cpu else None,
        device="cpu" if on_cpu else "cuda" if spec.device is not None else None,
        env={} if gpus else {VISIBLE_VARIABLE: ""},  # who asked for none sees none
        memory_bytes=0,
        threads=spec.cpu_threads or max(1, int(cpus) // spec.concurrency),
        reason=reason,
        asks=asks,
    )


def _gpus(spec: ExecutorSpec, replica: int, has_gpus: bool, path: str) -> tuple[float, str]:
    """Return how many GPUs a replica asks for, and why."""
    if spec.gpus is not None:
        return _number_of_gpus(spec.gpus, f"{path}.gpus"), f"gpus={spec.gpus!r}"
    wish = _wish(spec, replica)
    if wish in (None, "cpu"):
        return 0.0, "no device was named" if wish is None else "named"
    if wish == AUTO and not has_gpus:
        return 0.0, "auto, and no node has a GPU"
    if wish not in (AUTO, "gpu", "cuda"):
        raise SpecError(f"{path}.device: {wish!r}: which GPU, Ray decides; say 'gpu', or gpus=1")
    share = spec.device_memory
    if share is None:
        return 1.0, wish
    if not isinstance(share, float) or not 0 < share <= 1:
        raise SpecError(f"{path}.device_memory: {share!r}: Ray shares a GPU by parts of it; write 0.5 for a half")
    return share, f"{wish}, a share of {share:g}"


def _wish(spec: ExecutorSpec, replica: int) -> str | None:
    if spec.device is None or isinstance(spec.device, str):
        return spec.device
    return spec.device[replica % len(spec.device)] if spec.device else None


def _number_of_gpus(value: Any, path: str) -> float:
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        wish = parse_gpus(value, path)
        if wish.count == ALL or wish.ids or wish.driver or wish.capabilities:
            raise SpecError(f"{path}: {value!r}: which GPUs, Ray decides; say how many, 2, or what part of one, 0.5")
        number = float(wish.count)
    if not number > 0 or (number > 1 and number != int(number)):
        raise SpecError(f"{path}: {value!r}: Ray gives whole GPUs, 2, or a part of one, 0.5")
    return number


def _check(spec: ExecutorSpec, env: dict[str, str], path: str) -> None:
    if image_name(spec.uses) is not None:
        raise SpecError(f"{path}.uses: {spec.uses!r}: a Ray actor runs no container; name the class, file or folder")
    if is_reference(spec.uses):
        raise SpecError(
            f"{path}.uses: {spec.uses!r}: a bundle's own environment is made on this machine, and no other has it;"
            " pull it (dure hub pull), name its folder, and have Ray bring it: runtime_env={'working_dir': '.'}"
        )
    if VISIBLE_VARIABLE in env:
        raise SpecError(f"{path}.env.{VISIBLE_VARIABLE}: which GPUs, Ray decides; say gpus=")
    for key in spec.ray_options:
        if key in _OWN:
            raise SpecError(f"{path}.ray_options.{key}: cannot be given here: {_OWN[key]}")
    strategy = spec.ray_options.get(GROUP)
    if strategy is not None and strategy not in STRATEGIES:
        raise SpecError(
            f"{path}.ray_options.{GROUP}: {strategy!r} is no layout.{suggest(str(strategy), STRATEGIES)} Ray's are:"
            f" {', '.join(STRATEGIES)}."
        )
    if strategy is not None and "scheduling_strategy" in spec.ray_options:
        raise SpecError(f"{path}.ray_options: both {GROUP} and scheduling_strategy say where it runs; leave one out")
    resources = spec.ray_options.get("resources", {})
    if not isinstance(resources, dict) or not all(isinstance(v, int | float) for v in resources.values()):
        raise SpecError(f"{path}.ray_options.resources: {resources!r:.60} is no mapping of names to numbers")
