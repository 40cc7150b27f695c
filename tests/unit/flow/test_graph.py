"""The order of a Flow's Executors, and every way in which they can have none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.errors import SpecError
from dure.flow.graph import order
from dure.spec import GATEWAY, ExecutorSpec


def executors(**needs: list[str] | None) -> list[ExecutorSpec]:
    return [ExecutorSpec(uses="x", name=name, needs=sources) for name, sources in needs.items()]


def test_an_executor_comes_after_what_it_needs() -> None:
    found = order(executors(d=["b", "c"], b=["a"], c=["a", GATEWAY], a=None))
    assert list(found).index("d") == 3
    assert list(found).index("a") == 0
    assert found == {"a": [GATEWAY], "b": ["a"], "c": ["a", GATEWAY], "d": ["b", "c"]}


def test_no_executors() -> None:
    assert order([]) == {}


def test_a_need_named_twice_counts_once() -> None:
    assert order(executors(a=None, b=["a", GATEWAY, "a"]))["b"] == ["a", GATEWAY]


@given(st.permutations(range(6)), st.data())
def test_any_graph_without_cycles(placed: list[int], data: st.DataObject) -> None:
    names = [f"e{i}" for i in range(6)]
    needs = {
        name: data.draw(st.lists(st.sampled_from([GATEWAY, *names[:i]]), min_size=1)) for i, name in enumerate(names)
    }
    found = order([ExecutorSpec(uses="x", name=names[i], needs=needs[names[i]]) for i in placed])
    before: set[str] = {GATEWAY}
    for name, sources in found.items():
        assert set(sources) <= before
        before.add(name)
    assert before == {GATEWAY, *names}


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (executors(a=["b"], b=["a"]), "executors: a cycle in needs: (a -> b -> a|b -> a -> b); documents would"),
        (executors(a=["a"]), "a cycle in needs: a -> a"),
        (executors(a=[GATEWAY], b=["nobody"]), r"executors\[1\]\.needs: 'b' needs 'nobody', which is not in this Flow"),
        (executors(encoder=None, b=["encodr"]), r"executors\[1\]\.needs: .* Did you mean 'encoder'\?"),
        (executors(a=[]), r"executors\[0\]\.needs: is empty; leave it out, or name 'gateway'"),
        (executors(gateway=None), r"executors\[0\]\.name: .* other than 'gateway'"),
        ([ExecutorSpec(uses="x", name="two words")], r"executors\[0\]\.name: .*'two words'"),
        ([ExecutorSpec(uses="x", name="")], r"executors\[0\]\.name"),
        (executors(a=None) * 2, r"executors\[1\]\.name: 'a' is the name of executors\[0\] already"),
    ],
    ids=["cycle", "itself", "nobody", "near", "empty", "gateway", "no identifier", "no name", "twice"],
)
def test_what_has_no_order_is_told(specs: list[ExecutorSpec], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        order(specs)


def test_a_cycle_among_many_is_named_alone() -> None:
    with pytest.raises(SpecError) as caught:
        order(executors(a=None, b=["a", "d"], c=["b"], d=["c"], e=["a"]))
    named = set(re.findall(r"\b[a-e]\b", str(caught.value).partition(":")[2].partition(";")[0].partition("needs")[2]))
    assert named == {"b", "c", "d"}
