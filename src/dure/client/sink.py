"""What becomes of the answers to one `post`: the caller's options, callbacks, collecting, raising.

The same for every client. Knows no IO.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypedDict

import msgspec

from dure.client.exchange import Delivery, encode_parameters
from dure.client.inputs import num_requests
from dure.client.native import Target
from dure.client.results import Failure, Results
from dure.document.array import DocumentArray
from dure.document.merge import concatenate
from dure.errors import DureError, SpecError
from dure.spec import MAX_PRIORITY, suggest

Callback: TypeAlias = Callable[[Results], Any]


class PostOptions(TypedDict, total=False):
    """The arguments of `post` beyond where and what."""

    parameters: dict[str, Any] | None
    """Passed to the method as `parameters`."""
    request_size: int | None
    """Documents a request."""
    timeout_s: float | None
    """Seconds after which the answer to a request is of no use: it is not begun any more, and fails."""
    priority: int
    """Requests of higher priority are served first; 0 if not said."""
    explain: bool
    """Tell in `Results.served` how each request was served."""
    on_done: Callback | None
    """Called with the Results of each request that was answered."""
    on_error: Callback | None
    """Called with the Results of each request that failed; `results.error` and `results.failures` say why."""
    on_always: Callback | None
    """Called with the Results of each request."""
    show_progress: bool
    """Show how far it is, on standard error."""
    continue_on_error: bool
    """Go on when a request fails; failures are in the Results."""
    results_in_order: bool
    """Deliver in the order the requests were sent in (the default), or as they come."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `post` beyond where and what."""

    on_done: Callback | None = None
    on_error: Callback | None = None
    on_always: Callback | None = None
    parameters: dict[str, Any] | None = None
    request_size: int | None = None
    timeout_s: float | None = None
    priority: int = 0
    explain: bool = False
    show_progress: bool = False
    continue_on_error: bool = False
    results_in_order: bool = True

    @property
    def has_callbacks(self) -> bool:
        """Whether answers go to callbacks; they are not kept then."""
        return any(callback is not None for callback in (self.on_done, self.on_error, self.on_always))

    def target(self, on: str, *, stream: bool) -> Target:
        """Return what is called and how, at the endpoint `on`.

        Raises:
            ValidationError: Parameters that cannot travel.
        """
        parameters = encode_parameters(self.parameters)
        return Target(on, parameters, stream, self.priority, self.timeout_s or 0.0, self.explain)


def options_of(options: PostOptions) -> Options:
    """Check the arguments of `post`.

    Raises:
        SpecError: An unknown one, with the nearest known.
    """
    known = Options.__struct_fields__
    for name in options:
        if name not in known:
            raise SpecError(f"post.{name}: unknown argument.{suggest(name, known)} Known are: {', '.join(known)}.")
    chosen = Options(**options)
    if chosen.timeout_s is not None and not chosen.timeout_s > 0:
        raise SpecError(f"post.timeout_s: seconds, more than 0, or None for no limit; not {chosen.timeout_s!r}")
    if not isinstance(chosen.priority, int) or abs(chosen.priority) > MAX_PRIORITY:
        raise SpecError(
            f"post.priority: a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}, not {chosen.priority!r}"
        )
    return chosen


class Sink:
    """Takes the deliveries of one `post`: calls back, collects, raises.

    Args:
        options: What the caller wants.
        keeps: Whether `result` will be asked for; if not, nothing is kept.
    """

    def __init__(self, options: Options, *, keeps: bool = True) -> None:
        self._options = options
        self._keeps = keeps
        self.collected: list[Results] = []
        self.failures: list[Failure] = []

    def take(self, delivery: Delivery) -> Results | None:
        """Handle one delivery; return what `stream` is to yield.

        Raises:
            DureError: The request failed and nobody said to go on.
        """
        options, results, failure = self._options, delivery.results, delivery.failure
        if results is None:
            return None
        if failure is None:
            if options.on_done is not None:
                options.on_done(results)
        else:
            results.failures = [failure]
            if options.on_error is not None:
                options.on_error(results)
            if self._keeps:
                self.failures.append(failure)
        if options.on_always is not None:
            options.on_always(results)
        if failure is not None and options.on_error is None and not options.continue_on_error:
            raise failure.error
        return results if failure is None or options.continue_on_error else None

    def result(self) -> Results:
        """Return everything collected as one."""
        whole = Results.of(concatenate(self.collected) if self.collected else DocumentArray())
        whole.failures = self.failures
        for results in self.collected:
            whole.served += results.served
            for name, value in results.parameters.get("__results__", {}).items():
                whole.parameters.setdefault("__results__", {})[name] = value
        return whole


def keep(error: Exception, sink: Sink, options: Options) -> None:
    """Leave what had come back before an error in that error's `results`."""
    if options.has_callbacks or isinstance(error, SpecError):
        return
    results = sink.result()
    with contextlib.suppress(AttributeError):
        error.results = results  # type: ignore[attr-defined]  # documented in post
        if not isinstance(error, DureError):
            error.add_note(f"{len(results)} documents had come back before; they are in this exception's `results`.")


@contextlib.contextmanager
def progress_of(options: Options, inputs: Any, request_size: int) -> Iterator[Callable[[Delivery], None]]:
    """Show progress if the caller wants it; yields what counts a delivery."""
    if not options.show_progress:
        yield lambda _: None
        return
    from dure.client.progress import Progress

    with Progress(num_requests(inputs, request_size)) as progress:
        yield lambda delivery: progress.advance(len(delivery.results or ()), final=delivery.final)
