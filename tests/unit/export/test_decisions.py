import msgspec
import pytest

from dure.export.decisions import EXECUTOR, FLOW, GATEWAY, Decision, Refused, Written, refuse, verdict_of
from dure.spec import ExecutorSpec, FlowSpec, GatewaySpec

TABLES = [(FlowSpec, FLOW), (GatewaySpec, GATEWAY), (ExecutorSpec, EXECUTOR)]


@pytest.mark.parametrize(("kind", "table"), TABLES)
def test_every_setting_is_decided(kind: type[msgspec.Struct], table: dict[str, Decision]) -> None:
    assert list(table) == [field.name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize(("kind", "table"), TABLES)
def test_every_decision_says_where_or_why(kind: type[msgspec.Struct], table: dict[str, Decision]) -> None:
    for field, decision in table.items():
        for verdict in decision:
            said = verdict.where if isinstance(verdict, Written) else verdict.because
            assert len(said) > 3, (kind, field)


def test_a_setting_that_was_left_alone_is_not_refused() -> None:
    spec = ExecutorSpec(uses="docker://x", max_processes=None, group=None)
    assert isinstance(verdict_of(spec, "max_processes", "kubernetes"), Refused)
    refuse(spec, "executors[0]", "kubernetes")
