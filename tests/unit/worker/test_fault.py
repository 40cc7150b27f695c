"""What is told of an exception of user code."""

import msgspec
import pytest

from dure.errors import (
    DecodeError,
    DeviceLost,
    DeviceOutOfMemory,
    DureError,
    ExecutorError,
    ValidationError,
    from_wire,
)
from dure.worker.fault import Where, failed

WHERE = Where("model", "/encode")


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls it."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is to have a traceback
        return caught


def told(error: BaseException, lost: str = "") -> DureError:
    ((outcome, pieces),) = failed(WHERE, raised(error), lost, 1)
    data = b"".join(map(bytes, pieces))
    assert (outcome.failed, outcome.rows, outcome.size) == (True, 0, len(data))
    return from_wire(msgspec.msgpack.decode(data))


def test_its_type_its_words_and_where() -> None:
    error = told(ValueError("bad text"))
    assert isinstance(error, ExecutorError)
    assert error.args == ("model failed at /encode: ValueError: bad text",)
    assert (error.executor, error.endpoint) == ("model", "/encode")
    assert (error.original_type, error.original_message) == ("ValueError", "bad text")
    assert "in raised" in error.remote_traceback
    assert not error.retryable


def test_the_type_of_a_module_is_named_with_it() -> None:
    error = told(Unprintable())
    assert isinstance(error, ExecutorError)
    assert error.original_type == f"{__name__}.Unprintable"
    assert error.original_message == "<its text cannot be had: ZeroDivisionError>"


def test_dures_own_errors_are_user_codes_too() -> None:
    error = told(ValidationError("returned a list"))
    assert isinstance(error, ExecutorError)
    assert error.original_message == "returned a list"


def test_bytes_that_are_no_documents_are_the_callers_fault() -> None:
    error = told(DecodeError("no payload"))
    assert type(error) is DecodeError
    assert error.args == ("no payload",)


@pytest.mark.parametrize("error", [MemoryError("1 TiB"), OutOfMemoryError("1 TiB"), DeviceOutOfMemory("1 TiB")])
def test_memory_that_does_not_suffice_may_suffice_later(error: BaseException) -> None:
    found = told(error)
    assert isinstance(found, DeviceOutOfMemory)
    assert found.retryable
    assert "model failed at /encode" in str(found)
    assert "1 TiB" in str(found)
    assert vars(found)["executor"] == "model"


def test_a_lost_device_goes_over_everything() -> None:
    found = told(MemoryError(), lost="gpu(0) is lost.")
    assert isinstance(found, DeviceLost)
    assert str(found) == "model failed at /encode: gpu(0) is lost. Another worker takes its place."


def test_every_request_is_told() -> None:
    answers = failed(WHERE, ValueError("x"), "", 3)
    assert len(answers) == 3
    assert len({id(pieces[0]) for _, pieces in answers}) == 1, "the words are there once"


def test_text_that_has_no_utf_8() -> None:
    error = told(ValueError("\ud800"))
    assert isinstance(error, ExecutorError)
    assert error.original_message == "\\ud800"
