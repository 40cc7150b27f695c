"""Every class of the error tree can be told apart, rendered at an edge, and rebuilt by a client."""

import json

import grpc
import pytest

from dure import errors
from dure.errors import DureError, ExecutorError, from_wire, to_wire

TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DureError) and kind.__module__ == errors.__name__
]


def over_the_wire(error: DureError) -> DureError:
    return from_wire(json.loads(json.dumps(to_wire(error))))


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in TREE]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", TREE)
def test_class_is_described(kind: type[DureError]) -> None:
    assert 400 <= kind.http_status <= 599
    assert kind.grpc_status in grpc.StatusCode.__members__
    assert kind.__doc__, f"{kind.__name__} has no docstring"
    assert f" {kind.__name__} " in errors.__doc__.replace("\n", " "), "not drawn in the module's tree"


@pytest.mark.parametrize("kind", TREE)
def test_error_survives_the_wire(kind: type[DureError]) -> None:
    error = kind("replicas: 0 is too few; give 1 or more")
    error.path = "executors[1].replicas"  # type: ignore[attr-defined]
    told = over_the_wire(error)
    assert type(told) is kind
    assert told.args == error.args
    assert vars(told) == vars(error)
    assert str(told) == str(error)


def test_a_class_of_another_file_does_not_arrive_in_place_of_the_one_it_stands_under() -> None:
    class Special(errors.StartFailed):
        """Has no code of its own, as an error of the gateway's apps has none."""

    for told in over_the_wire(Special("it did not start")), over_the_wire(errors.StartFailed("it did not start")):
        assert type(told) is errors.StartFailed


def test_executor_error_keeps_what_the_user_code_raised() -> None:
    fields = ("executor", "endpoint", "original_type", "original_message", "remote_traceback")
    error = ExecutorError("encoder /encode failed", **{name: f"the {name}" for name in fields})
    told = over_the_wire(error)
    assert [getattr(told, name) for name in fields] == [f"the {name}" for name in fields]
    assert str(told) == str(error)
