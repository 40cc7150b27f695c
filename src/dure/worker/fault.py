"""What is told of an exception that user code raised: its own type, words and traceback, and where it ran.

Decides nothing; knows no batches.
"""

import traceback
from typing import NamedTuple

import msgspec

from dure.device.loss import out_of_memory
from dure.errors import (
    DecodeError,
    DeviceLost,
    DeviceOutOfMemory,
    DureError,
    ExecutorError,
    OutputError,
    ParametersError,
    to_wire,
)
from dure.executor.chain import MEMBER
from dure.executor.relayed import Relayed
from dure.transport.messages import Outcome
from dure.worker.batch import Answer


class Where(NamedTuple):
    """Whose method failed, and at which endpoint."""

    executor: str
    endpoint: str


def failed(where: Where, error: BaseException, lost: str, count: int) -> list[Answer]:
    """Return an answer for each of `count` requests that says why it failed; `lost` is what device is lost."""
    callers = isinstance(error, DecodeError | ParametersError | OutputError)
    if isinstance(error, Relayed):
        error, callers = error.error, True
    told = error if callers else _user_error(where, error, lost)
    data = msgspec.msgpack.encode(to_wire(told))
    return [(Outcome(failed=True, rows=0, size=len(data), result=b""), [data])] * count


def _user_error(where: Where, error: BaseException, lost: str) -> DureError:
    where = where._replace(executor=getattr(error, MEMBER, where.executor))
    fields = {
        **where._asdict(),
        "remote_traceback": _sendable("".join(traceback.format_exception(error))),
    }
    at = f"{where.executor} failed at {where.endpoint}"
    kind, text = type(error), _text(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    told: DureError
    if lost:
        told = DeviceLost(f"{at}: {lost} Another worker takes its place.")
    elif out_of_memory(error):
        told = DeviceOutOfMemory(f"{at}: {name}: {text} (half of the batch was tried as well, if it could be halved)")
    else:
        message = f"{at}: {name}: {text}"
        return ExecutorError(message, original_type=name, original_message=text, **fields)
    vars(told).update(fields)
    return told


def _text(error: BaseException) -> str:
    try:
        return _sendable(str(error))
    except Exception as broken:  # noqa: BLE001 - user code, too
        return f"<its text cannot be had: {type(broken).__qualname__}>"


def _sendable(text: str) -> str:
    # Lone surrogates, which stand in texts that were decoded carelessly, have no UTF-8.
    return text.encode(errors="backslashreplace").decode()
