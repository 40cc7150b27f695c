import pytest

from dure.errors import SpecError
from dure.export.references import Reference, names_in, parts_of, refuse_references
from dure.spec import ExecutorSpec


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", ["plain"]),
        ("", []),
        ("${{ ENV.A }}", [Reference("A")]),
        ("x${{ENV.A}}y${{  ENV.B_1}}", ["x", Reference("A"), "y", Reference("B_1")]),
        ("${ENV.A} ${{ A }} $A", ["${ENV.A} ${{ A }} $A"]),
    ],
)
def test_parts_of_a_text(text: str, parts: list[str | Reference]) -> None:
    assert parts_of(text) == parts


def test_names_are_found_however_deep_they_stand() -> None:
    value = {"a": ["${{ ENV.ONE }}", {"b": ("x ${{ ENV.TWO }}", 1, None)}], "c": ExecutorSpec(uses="${{ ENV.ONE }}3")}
    assert names_in(value) == ["ONE", "TWO"]


def test_a_variable_where_a_value_is_needed_is_an_error() -> None:
    spec = ExecutorSpec(uses="docker://x:${{ ENV.TAG }}", env={"A": "${{ ENV.A }}"})
    with pytest.raises(SpecError, match=r"executors\[0\]\.uses: \${{ ENV.TAG }} has no value yet .*: env, uses_with$"):
        refuse_references(spec, "executors[0]", but=("env", "uses_with"))
    refuse_references(spec, "executors[0]", but=("env", "uses"))
