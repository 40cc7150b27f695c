"""Placement on machines with 0, 1, 2 and 8 GPUs, none of which has to be here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.device.context import cpu, gpu
from dure.device.probe import DeviceInfo, Inventory
from dure.errors import DeviceNotFound, DeviceOutOfMemory, SpecError
from dure.executor.base import Executor
from dure.flow.flow import Flow
from dure.flow.plan import Plan, make_plan
from dure.spec import FlowSpec

GIB = 2**30
HOST = DeviceInfo(cpu(), "host", 16 * GIB, 8 * GIB, "Linux")


def machine(num_gpus: int, free_gib: int = 16) -> Inventory:
    gpus = [DeviceInfo(gpu(i), "card", 16 * GIB, free_gib * GIB, "1.0", f"GPU-{i}") for i in range(num_gpus)]
    return Inventory((HOST, *gpus), "" if gpus else "no driver is installed.")


def plan(found: Inventory, **settings: object) -> Plan:
    return make_plan(Flow().add(uses=Executor, name="encoder", **settings).spec, found)


def contexts(found: Inventory, **settings: object) -> list[object]:
    return [placement.context for placement in plan(found, **settings).placements]


@pytest.mark.parametrize(
    ("num_gpus", "expected"),
    [
        (0, [cpu()] * 4),
        (1, [gpu(0)] * 4),
        (2, [gpu(0), gpu(1), gpu(0), gpu(1)]),
        (8, [gpu(0), gpu(1), gpu(2), gpu(3)]),
    ],
)
def test_auto_spreads_replicas_over_what_is_there(num_gpus: int, expected: list[object]) -> None:
    assert contexts(machine(num_gpus), device="auto", replicas=4) == expected


def test_executors_share_the_count_of_replicas() -> None:
    flow = Flow().add(uses=Executor, device="gpu").add(uses=Executor, device="gpu").add(uses=Executor, device="gpu")
    found = make_plan(flow.spec, machine(2))
    assert [placement.context for placement in found.placements] == [gpu(0), gpu(1), gpu(0)]


def test_a_replica_sees_its_device_alone() -> None:
    on_gpu = plan(machine(2), device="cuda:1").of("encoder", 0)
    assert on_gpu.env == {"CUDA_VISIBLE_DEVICES": "GPU-1"}
    assert on_gpu.device == "cuda"
    on_cpu = plan(machine(2), device="cpu").of("encoder", 0)
    assert on_cpu.env == {"CUDA_VISIBLE_DEVICES": ""}
    assert on_cpu.device == "cpu"


def test_nothing_is_touched_where_no_device_is_named() -> None:
    placement = plan(machine(2)).of("encoder", 0)
    assert placement.context is None
    assert placement.device is None
    assert placement.env == {}


def test_a_list_is_taken_in_turn() -> None:
    assert contexts(machine(2), device=["gpu:1", "cpu"], replicas=3) == [gpu(1), cpu(), gpu(1)]


def test_gpu_where_there_is_none_is_an_error_that_says_why() -> None:
    with pytest.raises(DeviceNotFound, match=r"executors\[0\].device: 'gpu' asks for a GPU.*no driver is installed"):
        plan(machine(0), device="gpu")


def test_a_gpu_that_is_not_there_is_an_error_that_lists_those_present() -> None:
    with pytest.raises(DeviceNotFound, match=r"gpu\(7\) is not on this machine\. Present: cpu\(0\), gpu\(0\)"):
        plan(machine(1), device="gpu:7")


def test_auto_says_why_it_took_the_cpu() -> None:
    assert "no driver is installed" in plan(machine(0), device="auto").of("encoder", 0).reason


def test_memory_is_spread_and_refused_where_it_does_not_fit() -> None:
    assert contexts(machine(2), device="gpu", device_memory="9GiB", replicas=2) == [gpu(0), gpu(1)]
    with pytest.raises(DeviceOutOfMemory, match=r"9\.00 GiB do not fit on gpu\(0\): 7\.00 GiB are free"):
        plan(machine(2), device="gpu", device_memory="9GiB", replicas=3)


def test_a_share_is_of_the_whole_and_must_be_free() -> None:
    assert plan(machine(1), device="gpu", device_memory=0.5).of("encoder", 0).memory_bytes == 8 * GIB
    with pytest.raises(DeviceOutOfMemory, match=r"8\.00 GiB do not fit"):
        plan(machine(1, free_gib=4), device="gpu", device_memory=0.5)


def test_a_full_gpu_is_passed_over_for_one_with_room() -> None:
    flow = Flow().add(uses=Executor, device="gpu:0", device_memory="15GiB")
    flow = flow.add(uses=Executor, device="gpu:1").add(uses=Executor, device="gpu:1")
    found = make_plan(flow.add(uses=Executor, device="auto", device_memory="4GiB").spec, machine(2))
    assert found.placements[-1].context == gpu(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu", "device_memory": "lots"}, "'lots' is no size"),
        ({"device": "gpu", "device_memory": 1.5}, "at most 1.0, not 1.5"),
        ({"device_memory": 0.5}, "`device` does not say of what"),
        ({"device": []}, "the list is empty"),
        ({"device": "gpu", "env": {"CUDA_VISIBLE_DEVICES": "0"}}, "leave one out"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(machine(1), **settings)


def test_the_table_names_everything() -> None:
    text = str(plan(machine(2), device="auto", device_memory="2GiB", replicas=2))
    assert text.splitlines()[0].split() == ["executor", "replica", "device", "memory", "threads", "why"]
    assert "gpu(1)" in text
    assert "2.00 GiB" in text


def with_cores(cores: int) -> Inventory:
    return Inventory((HOST,), "no driver is installed.", cores)


def calls_of(spec: FlowSpec) -> int:
    return sum(max(e.replicas, e.max_replicas or 0) * e.concurrency for e in spec.executors)


counts = st.integers(1, 5)
executors: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, replicas=counts, concurrency=counts, max_replicas=st.none() | counts
)


@given(st.lists(executors, min_size=1, max_size=4), st.integers(1, 64))
def test_cores_are_divided_among_all_calls_that_may_run(settings: list[dict[str, Any]], cores: int) -> None:
    flow = Flow()
    for one in settings:
        most = one["max_replicas"]
        flow = flow.add(uses=Executor, **{**one, "max_replicas": most and max(most, one["replicas"])})
    found = make_plan(flow.spec, with_cores(cores))
    calls = calls_of(flow.spec)
    concurrency = {executor.name: executor.concurrency for executor in flow.spec.executors}
    threads = sum(placement.threads * concurrency[placement.executor] for placement in found.placements)
    assert sum(concurrency[placement.executor] for placement in found.placements) == calls
    if calls <= cores:
        assert threads <= cores, "never more threads than cores"
        assert threads > cores - calls, "and no core that could be shared out is left"
    else:
        assert {placement.threads for placement in found.placements} == {1}
    assert ("wait for each other" in found.division) == (calls > cores > 0 and calls > 1)


@pytest.mark.parametrize(
    ("cores", "settings", "threads", "division"),
    [
        (8, {}, "8", "8 cores: all for the one call that runs at a time"),
        (1, {}, "1", "1 core: all for the one call that runs at a time"),
        (8, {"replicas": 2, "concurrency": 2}, "2", "8 cores for 4 calls at a time: 2 threads for each"),
        (7, {"replicas": 4}, "1", "7 cores for 4 calls at a time: 1 thread for each"),
        (8, {"max_replicas": 4}, "2", "8 cores for 4 calls at a time: 2 threads for each"),
        (2, {"replicas": 3}, "1", "2 cores for 3 calls at a time, each with 1 thread: they will wait for each other"),
        (8, {"replicas": 2, "cpu_threads": 3}, "3", "8 cores for 2 calls at a time: 4 threads for each"),
    ],
)
def test_the_table_tells_the_threads(cores: int, settings: dict[str, Any], threads: str, division: str) -> None:
    lines = str(plan(with_cores(cores), **settings)).splitlines()
    column = lines[0].split().index("threads")
    assert {line.split()[column] for line in lines[1:-1]} == {threads}
    assert lines[-1] == division


def test_places_are_planned_for_all_replicas_there_may_be() -> None:
    found = plan(machine(2), device="gpu", replicas=1, max_replicas=3)
    assert [placement.replica for placement in found.placements] == [0, 1, 2]
    with pytest.raises(DeviceOutOfMemory, match="do not fit"):
        plan(machine(1), device="gpu", device_memory="6GiB", replicas=1, max_replicas=3)


def test_fewer_than_there_are_from_the_start_is_refused() -> None:
    with pytest.raises(SpecError, match=r"executors\[0\]\.max_replicas: 2 is less than replicas=3"):
        plan(machine(0), replicas=3, max_replicas=2)
