"""An exception on the private pipe: taken apart in the child that it ended, rebuilt in the parent.

Its class may be one that only the child can import, or it may hold what cannot be pickled; its name, text and
traceback arrive in any case.
"""

import sys
import traceback
from typing import Any

import cloudpickle
import msgspec


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an exception.

    `pickles` are ways to rebuild it, the best first: by the name of its class, then with its class itself.
    """

    name: str
    text: str
    traceback: str
    pickles: list[bytes]


def take_apart(error: BaseException) -> Failure:
    """Describe an exception by plain values."""
    kind = type(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - user code
        text = ""
    return Failure(
        name=kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        text=text,
        traceback="".join(traceback.format_exception(error)).rstrip(),
        pickles=[data for data in (_pickled(error), _pickled_with_class(error)) if data],
    )


def rebuild(failure: Failure) -> BaseException:
    """Return the exception; one of the same name and text where it cannot be had here."""
    for data in failure.pickles:
        try:
            error: Any = cloudpickle.loads(data)
        except (Exception, SystemExit):  # noqa: BLE001 - runs code of the user's module
            continue
        if isinstance(error, BaseException):
            return error
    module, _, name = failure.name.rpartition(".")
    kind: type[Exception] = type(name, (Exception,), {"__module__": module or "builtins"})
    return kind(failure.text)


def _pickled(error: BaseException) -> bytes:
    try:
        return bytes(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception may hold anything
        return b""


def _pickled_with_class(error: BaseException) -> bytes:
    module = sys.modules.get(type(error).__module__)
    if module is None or module.__name__ in sys.builtin_module_names:
        return b""
    try:
        cloudpickle.register_pickle_by_value(module)
    except ValueError:
        return b""
    try:
        return _pickled(error)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
