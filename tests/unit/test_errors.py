"""Errors over the wire: what arrives is what was raised, whatever version is at the other end."""

import pytest

from dure.errors import DureError, ExecutorError, MissingDependency, SpecError, TooLarge, from_wire, to_wire


def test_an_error_of_a_newer_version_is_the_base_class() -> None:
    error = from_wire({"code": "of_next_year", "message": "what it says", "new_field": 1})
    assert type(error) is DureError
    assert str(error) == "what it says"
    assert error.new_field == 1  # type: ignore[attr-defined]  # of a newer version


def test_an_error_without_fields() -> None:
    assert type(from_wire({})) is DureError
    assert to_wire(TooLarge()) == {"code": "too_large", "message": ""}


def test_an_exception_of_python_is_named() -> None:
    assert to_wire(KeyError("x")) == {"code": "internal", "message": "KeyError: 'x'"}


def test_errors_are_what_python_calls_them() -> None:
    assert isinstance(SpecError("x"), ValueError)
    assert isinstance(MissingDependency("x"), ImportError)


def test_an_executor_error_shows_where_it_was_raised() -> None:
    error = ExecutorError("encoder failed", remote_traceback="Traceback …\nValueError: x\n")
    assert str(error) == "encoder failed\n\nTraceback …\nValueError: x"
    assert error.args == ("encoder failed",)
    assert str(ExecutorError("encoder failed")) == "encoder failed"


@pytest.mark.parametrize("kind", [DureError, TooLarge, ExecutorError])
def test_notes_travel(kind: type[DureError]) -> None:
    error = kind("x")
    error.add_note("how it came about")
    assert from_wire(to_wire(error)).__notes__ == ["how it came about"]
