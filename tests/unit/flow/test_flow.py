"""Composing a Flow, without starting it."""

import pytest

from dure.errors import BackendError, SpecError
from dure.flow.flow import Flow


def test_adding_makes_another_flow() -> None:
    first = Flow(port=5)
    second = first.add(uses="a.B")
    assert first.spec.executors == []
    assert [spec.name for spec in second.spec.executors] == ["executor0"]
    assert second.port == 5
    assert first != second
    assert second == Flow(port=5).add(uses="a.B")


def test_each_needs_the_one_before() -> None:
    flow = Flow().add(uses="a.B").add(uses="a.C", name="c").add(uses="a.D")
    assert {spec.name: spec.needs for spec in flow.spec.executors} == {
        "executor0": ["gateway"],
        "c": ["executor0"],
        "executor2": ["c"],
    }
    assert repr(flow) == "<Flow executor0 c executor2>"


def test_needs_all_takes_every_end() -> None:
    flow = Flow().add(uses="a.B", name="a").add(uses="a.B", name="b").add(uses="a.B", name="c", needs="a")
    assert flow.needs_all(name="end").spec.executors[-1].needs == ["b", "c"]
    assert Flow().needs_all().spec.executors[-1].needs == ["gateway"]


def test_names_are_taken_once() -> None:
    with pytest.raises(SpecError, match=r"executors\[1\]\.name: 'a' is the name of executors\[0\] already"):
        Flow().add(uses="a.B", name="a").add(uses="a.B", name="a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prot": 1}, r"Flow\.prot: unknown setting 'prot'\. Did you mean 'port'"),
        ({"port": -1}, r"Flow\.port: "),
        ({"protocol": "htp"}, r"Flow: protocol 'htp' is unknown\. Did you mean 'http'\?"),
        ({"env": {"A": 1}}, r"Flow\.env"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Flow(**settings)


def test_a_flow_that_does_not_run() -> None:
    flow = Flow()
    for use in (lambda: flow.post("/", "x"), lambda: flow.stream("/", "x"), flow.pids, flow.block):
        with pytest.raises(BackendError, match="does not run; use `with flow:`"):
            use()
    flow.close()
    with pytest.raises(TypeError, match="unhashable"):
        hash(flow)
