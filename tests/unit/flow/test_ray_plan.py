"""What replicas ask of a Ray cluster, and whether it has room: pure, over nodes that are only described."""

from typing import Any

import msgspec
import pytest

from dure import Executor, Flow
from dure.backends.ray_cluster import Node
from dure.device.probe import VISIBLE_VARIABLE
from dure.errors import SpecError
from dure.flow.plan import Placement
from dure.flow.ray_plan import RayPlan, check_room, make_ray_plan, options_of
from dure.flow.unit import by_units

MIB = 2**20


def node(address: str, **has: float) -> Node:
    return Node(address=address, total=dict(has), free=dict(has))


NODES = [node("10.0.0.1", CPU=4, memory=1000 * MIB), node("10.0.0.2", CPU=4, GPU=2, memory=1000 * MIB, disk=1)]


def planned(nodes: list[Node] = NODES, **settings: Any) -> RayPlan:
    flow = Flow().add(**{"uses": Executor, "name": "encoder", **settings})
    return make_ray_plan(by_units(flow.spec), nodes, "10.0.0.1:6379")


def place(**settings: Any) -> Placement:
    return planned(**settings).placements[0]


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, {"CPU": 1}),
        ({"cpu_threads": 2, "concurrency": 3}, {"CPU": 6}),
        ({"cpu_threads": 2, "max_cpus": 0.5}, {"CPU": 0.5}),
        ({"gpus": 2}, {"CPU": 1, "GPU": 2}),
        ({"gpus": "2"}, {"CPU": 1, "GPU": 2}),
        ({"gpus": 0.5}, {"CPU": 1, "GPU": 0.5}),
        ({"device": "gpu"}, {"CPU": 1, "GPU": 1}),
        ({"device": "gpu", "device_memory": 0.25}, {"CPU": 1, "GPU": 0.25}),
        ({"device": "auto"}, {"CPU": 1, "GPU": 1}),
        ({"device": "cpu"}, {"CPU": 1}),
        ({"max_memory": "2MiB"}, {"CPU": 1, "memory": 2 * MIB}),
        ({"ray_options": {"resources": {"disk": 0.5}}}, {"CPU": 1, "disk": 0.5}),
    ],
)
def test_what_a_replica_asks_for(settings: dict[str, Any], asks: dict[str, float]) -> None:
    assert place(**settings).asks == asks


def test_what_a_worker_is_told_of_its_device() -> None:
    assert (place(device="gpu").device, place(device="cpu").device, place().device) == ("cuda", "cpu", None)
    assert place(gpus=1).env == {}
    assert place().env == place(device="cpu").env == {VISIBLE_VARIABLE: ""}, "who asked for no GPU sees none"
    without = planned([NODES[0]], device="auto").placements[0]
    assert (without.device, without.asks, without.reason) == ("cpu", {"CPU": 1}, "auto, and no node has a GPU")
    turns = planned(device=["gpu", "cpu"], replicas=3).placements
    assert [one.asks.get("GPU", 0) for one in turns] == [1, 0, 1]


def test_cores_of_a_call() -> None:
    assert (place().threads, place(cpu_threads=3).threads) == (1, 3)
    assert place(max_cpus=8, concurrency=2).threads == 4


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"gpus": "0,1"}, "gpus: '0,1': which GPUs, Ray decides"),
        ({"gpus": "all"}, "gpus: 'all': which GPUs, Ray decides"),
        ({"gpus": 1.5}, "gpus: 1.5: Ray gives whole GPUs"),
        ({"device": "gpu:1"}, "device: 'gpu:1': which GPU, Ray decides"),
        ({"device": "gpu", "device_memory": "6GiB"}, "device_memory: '6GiB': Ray shares a GPU by parts"),
        ({"device": "gpu", "gpus": 1}, "both gpus and device"),
        ({"env": {VISIBLE_VARIABLE: "0"}}, "which GPUs, Ray decides; say gpus="),
        ({"uses": "docker://x"}, "a Ray actor runs no container"),
        ({"uses": "hub://Name/v1"}, "a bundle's own environment"),
        ({"ray_options": {"num_gpus": 1}}, r"ray_options.num_gpus: cannot be given here: say gpus="),
        ({"ray_options": {"placement_group": "STRICT"}}, "'STRICT' is no layout. Did you mean 'STRICT_PACK'"),
        ({"ray_options": {"placement_group": "PACK", "scheduling_strategy": "SPREAD"}}, "leave one out"),
        ({"ray_options": {"resources": ["disk"]}}, "is no mapping of names to numbers"),
        ({"max_memory": "much"}, "max_memory: 'much' is no size"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        planned(**settings)


def test_what_ray_is_told() -> None:
    flow = Flow().add(
        uses=Executor,
        gpus=0.5,
        max_memory="1MiB",
        ray_options={"resources": {"disk": 1}, "placement_group": "PACK", "label_selector": {"zone": "a"}},
    )
    (spec,) = flow.spec.executors
    told = options_of(spec, make_ray_plan(flow.spec, NODES, "").placements[0])
    assert told == {
        "num_cpus": 1,
        "num_gpus": 0.5,
        "memory": MIB,
        "resources": {"disk": 1.0},
        "label_selector": {"zone": "a"},
    }


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({"replicas": 8}, True),
        ({"replicas": 9}, False),
        ({"replicas": 2, "max_replicas": 20}, True),
        ({"gpus": 0.5, "replicas": 4}, True),
        ({"gpus": 0.5, "replicas": 5}, False),
        ({"gpus": 2, "replicas": 2}, False),
        ({"cpu_threads": 3, "replicas": 2}, True),
        ({"cpu_threads": 3, "replicas": 3}, False),
        ({"replicas": 2, "ray_options": {"placement_group": "STRICT_SPREAD"}}, True),
        ({"replicas": 3, "ray_options": {"placement_group": "STRICT_SPREAD"}}, False),
        ({"replicas": 4, "ray_options": {"placement_group": "STRICT_PACK"}}, True),
        ({"replicas": 5, "ray_options": {"placement_group": "STRICT_PACK"}}, False),
        ({"ray_options": {"resources": {"tape": 1}}}, False),
        ({"max_memory": "1GiB"}, False),
    ],
)
def test_whether_there_is_room(settings: dict[str, Any], fits: bool) -> None:
    flow = Flow().add(**{"uses": Executor, "name": "encoder", **settings})
    plan = make_ray_plan(flow.spec, NODES, "10.0.0.1:6379")
    if fits:
        check_room(plan, flow.spec.executors)
        return
    with pytest.raises(SpecError, match=r"(?s)no room for replica .*encoder asks for .*10\.0\.0\.2 has .*wait_for_res"):
        check_room(plan, flow.spec.executors)


def test_what_others_have_is_not_free() -> None:
    busy = [msgspec.structs.replace(one, free={**one.total, "CPU": 0.5}) for one in NODES]
    flow = Flow().add(uses=Executor, name="encoder")
    with pytest.raises(SpecError, match=r"10\.0\.0\.1 has 4 CPU \(0\.5 free\)"):
        check_room(make_ray_plan(flow.spec, busy, ""), flow.spec.executors)


def test_it_is_printed_as_a_table() -> None:
    lines = str(planned(gpus=0.5, replicas=2)).splitlines()
    assert lines[0].split() == ["executor", "replica", "asks", "for", "threads", "why"]
    assert lines[2] == "encoder   1        1 CPU, 0.5 GPU  1        gpus=0.5"
    assert lines[3] == "the Ray cluster at 10.0.0.1:6379:"
    assert lines[5] == "  10.0.0.2 has 4 CPU (4 free), 2 GPU (2 free), 0.98 GiB memory (0.98 GiB free), 1 disk (1 free)"
