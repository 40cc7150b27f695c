"""Which method answers which endpoint: the decorators, and the table made from them.

Runs wherever an Executor class is known. Does not know how a method is called or where its documents come from.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from msgspec import Struct

from dure.errors import SpecError
from dure.executor.parameters import type_of
from dure.spec import BatchSpec, build, suggest

DEFAULT = "/default"
"""The endpoint of a bare `@requests`: answers whatever has no method of its own."""

F = TypeVar("F", bound=Callable[..., Any])
_ON, _BATCHING = "__dure_on__", "__dure_batching__"


UNMERGED = BatchSpec(max_batch_size=1)
"""How requests are merged where they cannot be, or need not be."""


class Endpoint(Struct, frozen=True):
    """One row of the table: an endpoint, the method behind it, and how that method wants to be called.

    `asked`: whether somebody said how requests are merged. If nobody did, they are merged on trial. `takes`: the type
    of its parameters, None for a dict of anything. `description`: the first paragraph of its docstring.
    """

    name: str
    method: str
    asynchronous: bool
    streaming: bool
    arguments: tuple[str, ...]
    batching: BatchSpec
    asked: bool
    takes: Any = None
    description: str = ""


@overload
def requests(on: F) -> F: ...
@overload
def requests(on: str | Iterable[str] | None = None) -> Callable[[F], F]: ...
def requests(on: Any = None) -> Any:
    """Bind a method to one endpoint or several; without `on`, to whatever has no method of its own.

    Example:
        >>> class Upper(Executor):
        ...     @requests(on="/upper")
        ...     def upper(self, docs, **kwargs):
        ...         docs.texts = [text.upper() for text in docs.texts]

    Raises:
        SpecError: The method takes no `docs`, or an endpoint is not a text that begins with "/".
    """
    if callable(on):
        return _bind(on, (DEFAULT,))
    several = isinstance(on, Iterable) and not isinstance(on, str)
    names = (DEFAULT,) if on is None else tuple(on) if several else (on,)
    return lambda function: _bind(function, names)


def batching(**settings: Any) -> Callable[[F], F]:
    """Say how requests are merged into calls of a method, which must give back as many documents as it got, in order.

    Args:
        **settings: Those of `dure.spec.BatchSpec`, e.g. `max_batch_size`; `cost` may also be a function, at the top of
            a module, that is given a Document and returns what it costs.

    Raises:
        SpecError: An unknown setting, or settings that contradict each other.
    """
    cost = settings.get("cost")
    if callable(cost):
        settings["cost"] = f"{cost.__module__}:{cost.__qualname__}"
    spec = build(BatchSpec, settings, "batching")

    def mark(function: F) -> F:
        setattr(function, _BATCHING, spec)
        return function

    return mark


def _bind(function: F, names: tuple[Any, ...]) -> F:
    for name in names:
        if not isinstance(name, str) or not name.startswith("/"):
            raise SpecError(f"requests(on={name!r}): an endpoint is a text that begins with '/', such as '/encode'")
    if "docs" not in _arguments(function):
        raise SpecError(
            f"{function.__qualname__} is bound to {', '.join(names)} but takes no `docs`;"
            " give it the parameters (self, docs, **kwargs)"
        )
    setattr(function, _ON, names)
    return function


def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return tuple(dict.fromkeys((*parameters, "docs", "parameters")))
    return tuple(parameters)


def table(kind: type, rebind: Mapping[str, str], override: BatchSpec | None = None) -> dict[str, Endpoint]:
    """Make the endpoint table of an Executor class.

    Args:
        kind: The class; what its bases bind is inherited, by method name, and never shared between siblings.
        rebind: endpoint -> method name, over what the decorators say (`uses_requests`, `requests:` in config.yml). A
            method named here answers only the endpoints named here.
        override: Batching for every method, over what the decorators say.

    Raises:
        SpecError: `rebind` names a method the class does not have, or two methods of one class answer one endpoint.
    """
    bound: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        own: dict[str, str] = {}
        for method, function in vars(base).items():
            for name in getattr(function, _ON, ()):
                if own.setdefault(name, method) != method:
                    raise SpecError(f"{base.__name__}: both {own[name]!r} and {method!r} answer {name}; which is it?")
        bound |= own
    moved = set(rebind.values())
    bound = {name: method for name, method in bound.items() if method not in moved} | dict(rebind)
    return {name: _endpoint(kind, name, method, override) for name, method in bound.items()}


def _endpoint(kind: type, name: str, method: str, override: BatchSpec | None) -> Endpoint:
    function = getattr(kind, method, None)
    if not callable(function):
        methods = [m for m in dir(kind) if not m.startswith("_") and callable(getattr(kind, m))]
        raise SpecError(f"requests[{name!r}]: {kind.__name__} has no method {method!r}.{suggest(method, methods)}")
    streaming = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    asked: BatchSpec | None = override or getattr(function, _BATCHING, None)
    if streaming or (asynchronous and asked is None):
        asked = UNMERGED  # calls of coroutines run beside each other: none has to wait for company
    return Endpoint(
        name=name,
        method=method,
        asynchronous=asynchronous,
        streaming=streaming,
        arguments=_arguments(function),
        batching=asked or BatchSpec(),
        asked=asked is not None,
        takes=type_of(function),
        description=(inspect.getdoc(function) or "").partition("\n\n")[0],
    )
