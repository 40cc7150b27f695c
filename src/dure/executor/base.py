"""The class users subclass.

Usable by itself, without a Flow: construct it and call its methods with a `DocumentArray`.
Knows nothing of processes, gateways or the wire.
"""

import logging
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from dure.errors import SpecError
from dure.executor.endpoints import Endpoint, table
from dure.log import get_logger
from dure.spec import suggest


class Executor:
    """A model, or any step of work, behind named endpoints.

    Subclass it, take your settings in `__init__`, pass the rest on with `super().__init__(*args, **kwargs)`, and mark
    methods with `@requests`. A method gets `docs` (a `DocumentArray`) and, if it names them, `parameters` (a dict) and
    `endpoint` (which was called). It may change `docs` in place and return nothing, return another `DocumentArray`
    (shorter or longer), or return a dict of results. It may be `async`, or a generator that yields parts of its answer.

    Args:
        metas: name, description, workspace and the like, from config.yml.
        requests: endpoint -> method name, over what the decorators say.
        runtime_args: what the host of this instance tells it: name, replica, replicas.
        **unknown: Anything else is an error: a mistyped argument must not be lost on its way.

    Raises:
        SpecError: An argument that no class on the way knows.
    """

    metas: SimpleNamespace = SimpleNamespace()
    runtime_args: SimpleNamespace = SimpleNamespace()
    requests: dict[str, Endpoint]

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Make an instance whose endpoint table is there even if `super().__init__` is forgotten."""
        self = super().__new__(cls)
        self.requests = table(cls, {})
        return self

    def __init__(
        self,
        metas: dict[str, Any] | None = None,
        requests: dict[str, str] | None = None,
        runtime_args: dict[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            known = known_arguments(type(self))
            name = next(iter(unknown))
            raise SpecError(
                f"uses_with.{name}: {type(self).__name__} takes no argument {name!r}.{suggest(name, known)}"
                f" It takes: {', '.join(known) or 'none'}."
            )
        if metas is not None:
            self.metas = SimpleNamespace(**metas)
        if requests is not None:
            self.requests = table(type(self), requests)
        if runtime_args is not None:
            self.runtime_args = SimpleNamespace(**runtime_args)

    @property
    def logger(self) -> logging.Logger:
        """The logger of this Executor, under its name in the Flow."""
        return get_logger(getattr(self.runtime_args, "name", type(self).__name__))

    def warm_up(self) -> None:
        """Do what makes the first request slow; called once by the host, before it takes any. Override it as needed."""

    def close(self) -> None:
        """Release what the Executor holds; called once when its host shuts down. Override it as needed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def known_arguments(kind: type) -> list[str]:
    """Return the names that the constructors of an Executor class and its bases write out."""
    names: dict[str, None] = {}
    for base in kind.__mro__:
        if base is Executor:
            break
        code = getattr(vars(base).get("__init__"), "__code__", None)
        if code is not None:
            count = code.co_argcount + code.co_kwonlyargcount
            names.update(dict.fromkeys(code.co_varnames[1:count]))
    return list(names)
