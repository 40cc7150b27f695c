"""From settings to what workers and gateway are told."""

import os
from threading import Lock
from typing import Any

import cloudpickle
import pytest

from dure.device.context import cpu, gpu
from dure.device.probe import VISIBLE_VARIABLE, DeviceInfo, Inventory
from dure.errors import SpecError
from dure.executor.base import Executor
from dure.flow.flow import Flow
from dure.flow.plan import THREAD_VARIABLES, make_plan
from dure.flow.unit import Unit, units_of
from dure.spec import FlowSpec

GIB = 2**30
FOUND = Inventory(
    (DeviceInfo(cpu(), "host", 16 * GIB, 8 * GIB, "Linux"), DeviceInfo(gpu(0), "card", GIB, GIB, "1.0", "GPU-0")), "", 8
)


@pytest.fixture(autouse=True)
def nothing_said_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def chain(*names: str, **settings: Any) -> Flow:
    """Return a Flow with some Executors of the group "both"; settings are those of the first."""
    flow = Flow()
    for i, name in enumerate(names):
        flow = flow.add(uses=Executor, name=name, group="both", **(settings if i == 0 else {}))
    return flow


def only_unit(flow: Flow) -> Unit:
    (unit,) = units_of(flow.spec.executors)
    return unit


def environments(flow: Flow) -> list[dict[str, str]]:
    unit = only_unit(flow)
    plan = make_plan(FlowSpec(executors=[unit.spec]), FOUND)
    return [worker.env for worker in unit.workers(flow.spec, plan)]


def test_an_executor_is_a_unit_by_itself() -> None:
    unit = only_unit(Flow().add(uses=Executor, name="one", replicas=2, max_replicas=3, max_queue_size=7, max_call_s=5))
    node = unit.node()
    assert [member.name for member in unit.members] == [unit.spec.name] == ["one"]
    assert (node.needs, node.replicas, node.max_replicas) == (["gateway"], 2, 3)
    assert (node.max_queue_size, node.max_call_s) == (7, 5)


def test_a_group_is_one_unit_under_its_own_name() -> None:
    flow = chain("a", "b", replicas=2, cache_size=9).add(uses=Executor, name="after")
    both, after = units_of(flow.spec.executors)
    assert (both.spec.name, both.spec.replicas, both.spec.cache_size) == ("both", 2, 9)
    assert [member.name for member in both.members] == ["a", "b"]
    assert both.needs == ["gateway"]
    assert after.needs == ["both"], "who needs the last of a group needs the group"


def test_others_may_stand_between_the_members() -> None:
    flow = Flow().add(uses=Executor, name="first", group="both")
    flow = flow.add(uses=Executor, name="beside", needs="gateway")
    flow = flow.add(uses=Executor, name="second", needs="first", group="both")
    units = {unit.spec.name: unit for unit in units_of(flow.spec.executors)}
    assert [member.name for member in units["both"].members] == ["first", "second"]


def test_a_group_of_one() -> None:
    assert only_unit(chain("a")).spec.name == "both"


def test_a_worker_is_told_each_of_its_executors() -> None:
    flow = chain("a", replicas=2, concurrency=3, cache_size=4, device="gpu", timeout_ready_s=5)
    flow = flow.add(uses=Executor, name="b", group="both", uses_with={"x": 1}, batching={"max_batch_size": 5})
    unit = only_unit(flow)
    workers = unit.workers(flow.spec, make_plan(FlowSpec(executors=[unit.spec]), FOUND))
    first = workers[0][0]
    assert [(assignment.replica, assignment.replicas) for assignment, *_ in workers] == [(0, 2), (1, 2)]
    assert (first.name, first.concurrency, first.cache_size) == ("both", 3, 4)
    assert (first.device, first.context) == ("cuda", gpu(0))
    a, b = first.hosted
    assert (a.name, b.name) == ("a", "b")
    assert cloudpickle.loads(b.uses_with) == {"x": 1}
    assert a.batching is None
    assert b.batching is not None
    assert b.batching.max_batch_size == 5
    assert "" not in first.sys_path, "the folder of the Flow, not that of the worker"


def test_there_is_a_worker_for_each_replica_there_may_be() -> None:
    unit = only_unit(Flow().add(uses=Executor, name="one", replicas=1, max_replicas=3))
    plan = make_plan(FlowSpec(executors=[unit.spec]), FOUND)
    assert [assignment.replica for assignment, *_ in unit.workers(FlowSpec(), plan)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("add", "message"),
    [
        ({"name": "b", "needs": "gateway"}, "'b' must need 'a' alone, not gateway"),
        ({"name": "b", "needs": ["a", "gateway"]}, "'b' must need 'a' alone, not a, gateway"),
        ({"name": "b", "replicas": 3}, "b.replicas: .*'a' says replicas; leave it out here, not 3"),
        ({"name": "b", "device": "cpu"}, "b.device: .*share one process"),
        ({"name": "b", "env": {"A": "b"}}, "b.env: .*share one process"),
        ({"name": "b", "concurrency": 2}, "b.concurrency: .*share one process"),
    ],
)
def test_groups_that_cannot_be(add: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        chain("a", replicas=2).add(uses=Executor, group="both", **add)


def test_a_member_may_repeat_what_the_first_says() -> None:
    flow = chain("a", replicas=2).add(uses=Executor, name="b", group="both", replicas=2)
    assert only_unit(flow).spec.replicas == 2


def test_nobody_takes_documents_from_inside_a_group() -> None:
    with pytest.raises(SpecError, match=r"'a' is inside the group 'both', which documents leave at its end, 'b'"):
        chain("a", "b").add(uses=Executor, name="c", needs="a")


def test_a_branch_may_not_leave_a_group_and_come_back() -> None:
    flow = Flow().add(uses=Executor, name="a", group="both").add(uses=Executor, name="outside")
    with pytest.raises(SpecError, match="'b' must need 'a' alone, not outside"):
        flow.add(uses=Executor, name="b", group="both")


@pytest.mark.parametrize("name", ["a", "gateway", "two words", ""])
def test_a_group_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(SpecError, match=r"a\.group: must be a Python identifier that names nothing else"):
        Flow().add(uses=Executor, name="a", group=name)


def test_what_cannot_travel_is_named() -> None:
    unit = only_unit(Flow().add(uses=Executor, name="one", uses_with={"lock": Lock()}))
    with pytest.raises(SpecError, match=r"one\.uses_with: cannot be handed to another process: TypeError"):
        unit.workers(FlowSpec(), make_plan(FlowSpec(executors=[unit.spec]), FOUND))


def test_libraries_are_told_the_threads_of_a_call() -> None:
    envs = environments(Flow().add(uses=Executor, replicas=2, concurrency=2))
    assert envs == [dict.fromkeys(THREAD_VARIABLES, "2")] * 2


@pytest.mark.parametrize("name", THREAD_VARIABLES)
def test_who_said_something_of_threads_is_obeyed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {name: "7"}
    assert environments(Flow().add(uses=Executor, env=own)) == [own]
    assert environments(Flow(env=own).add(uses=Executor)) == [own]
    monkeypatch.setenv(name, "7")
    assert environments(Flow().add(uses=Executor)) == [{}]
    assert os.environ[name] == "7"


def test_cpu_threads_goes_over_the_surroundings_and_env_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environments(Flow().add(uses=Executor, cpu_threads=3)) == [dict.fromkeys(THREAD_VARIABLES, "3")]
    (env,) = environments(Flow().add(uses=Executor, cpu_threads=3, env={"OMP_NUM_THREADS": "1"}))
    assert (env["OMP_NUM_THREADS"], env["MKL_NUM_THREADS"]) == ("1", "3")


def test_a_gpu_is_the_only_one_seen() -> None:
    (env,) = environments(Flow(env={"A": "flow", "B": "flow"}).add(uses=Executor, device="gpu", env={"A": "own"}))
    assert (env["A"], env["B"], env[VISIBLE_VARIABLE]) == ("own", "flow", "GPU-0")
