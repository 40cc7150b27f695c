"""Settings: what is wrong with one, where it stands, and what would be right."""

from typing import Any

import pytest

from dure.errors import SpecError
from dure.spec import BatchSpec, ClientSpec, ExecutorSpec, FlowSpec, GatewaySpec, build, describe, suggest


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (
            ExecutorSpec,
            {"uses": "x", "replica": 2},
            r"^here\.replica: unknown setting 'replica'\. Did you mean 'replicas'\?",
        ),
        (ExecutorSpec, {"uses": "x", "zzz": 2}, r"^here\.zzz: unknown setting 'zzz'\. Known are: uses, name, needs"),
        (ExecutorSpec, {"uses": "x", "replicas": 0}, r"^here\.replicas: Expected `int` >= 1\. Given was 0\."),
        (ExecutorSpec, {"uses": "x", "replicas": "2"}, r"^here\.replicas: Expected `int`, got `str`\. Given was '2'\."),
        (ExecutorSpec, {"uses": "x", "replicas": True}, r"^here\.replicas: "),
        (ExecutorSpec, {"uses": "x", "timeout_ready_s": -1}, r"^here\.timeout_ready_s: .*-1"),
        (ExecutorSpec, {"uses": "x", "needs": [1]}, r"^here\.needs\[0\]: Expected `str`"),
        (ExecutorSpec, {"uses": "x", "batching": {"max_batch_size": 0}}, r"^here\.batching\.max_batch_size: "),
        (ExecutorSpec, {"uses": "x", "batching": {"size": 1}}, r"^here\.batching: .*size"),
        (ExecutorSpec, {"uses": "x", "env": {"A": 1}}, r"^here\.env\[\.\.\.\]: Expected `str`"),
        (ExecutorSpec, {"name": "x"}, r"^here: .*missing required field `uses`"),
        (GatewaySpec, {"port": 70000}, r"^here\.port: Expected `int` <= 65535\. Given was 70000"),
        (GatewaySpec, {"max_request_bytes": 2**31}, r"^here\.max_request_bytes: Expected `int` <= 2130706432"),
        (GatewaySpec, {"port": "http"}, r"^here\.port: "),
        (ClientSpec, {"request_size": 0}, r"^here\.request_size: "),
        (FlowSpec, {"name": 3}, r"^here\.name: "),
        (BatchSpec, {"max_batch_size": 1.5}, r"^here\.max_batch_size: "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_told_with_its_place(kind: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(kind, values, "here")


def test_what_is_right_is_built() -> None:
    spec = build(ExecutorSpec, {"uses": int, "replicas": 3, "batching": {"max_batch_size": 8}}, "here")
    assert (spec.uses, spec.replicas, spec.batching) == (int, 3, BatchSpec(max_batch_size=8))


def test_defaults_are_not_shared() -> None:
    build(ExecutorSpec, {"uses": "x"}, "here").uses_with["a"] = 1
    assert build(ExecutorSpec, {"uses": "x"}, "here").uses_with == {}


@pytest.mark.parametrize("kind", [ExecutorSpec, GatewaySpec, ClientSpec, BatchSpec])
def test_every_setting_is_described(kind: Any) -> None:
    texts = describe(kind)
    assert list(texts) == list(kind.__struct_fields__)
    assert all(texts.values())


def test_suggestions() -> None:
    assert suggest("replica", ["replicas", "name"]) == " Did you mean 'replicas'?"
    assert suggest("xyz", ["replicas", "name"]) == ""
    assert suggest("3", [3]) == " Did you mean '3'?"  # type: ignore[list-item]  # keys of YAML may be anything
