"""The single way in, whatever the protocol: walks a request through the Flow's graph of Executors.

Knows endpoints, needs, joins, and until when an answer is of use. Does not parse or render anything, and looks into no
payload.
"""

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from dure.document.forms import between, with_ids
from dure.errors import DeadlineExceeded, DureError, EndpointNotFound, RequestError
from dure.executor.endpoints import DEFAULT
from dure.gateway.assignment import Node
from dure.gateway.dispatcher import Dispatcher
from dure.gateway.figures import RequestFigures
from dure.gateway.job import Answer, Job, OnPart, Payload
from dure.gateway.traces import Traces
from dure.gateway.visit import VISIT, submit_of
from dure.served import Served
from dure.spec import GATEWAY, MAX_PRIORITY, suggest
from dure.transport.messages import JOIN

_MAX_ROUTES = 1024


def _ignore(answer: Any) -> None:
    """What is done with what nobody asked for."""


class Outcome(Struct):
    """The answer to a request: documents, and Executor name -> what its method returned as a dict (msgpack).

    `served`: Executor name -> how it served the request. `arrived`: when the request came to it, in monotonic time.
    """

    rows: int
    payload: Payload
    results: dict[str, bytes]
    served: dict[str, Served] = {}
    arrived: dict[str, float] = {}


class Request(Struct, eq=False):
    """One request, as a protocol hands it over. `on_done` is called exactly once, unless it is withdrawn.

    `timeout_s` is how long its answer is of use, 0 for ever. The higher its priority, the sooner it is served. The
    router fills in whose it is, when it was read and its deadline, moments of the monotonic clock, and where it is
    counted.
    """

    endpoint: str
    parameters: bytes
    form: str
    rows: int
    payload: Payload
    stream: bool = False
    on_part: OnPart = _ignore
    on_done: Callable[[Outcome | DureError], None] = _ignore
    priority: int = 0
    timeout_s: float = 0.0
    client: str = ""
    weight: float = 1.0
    deadline: float = inf
    read_at: float = 0.0
    figures: RequestFigures | None = None
    traces: Traces | None = None
    traceparent: str = ""

    def finish(self, outcome: Outcome | DureError) -> None:
        """Count what became of it, and tell it."""
        if self.figures is not None:
            error = outcome if isinstance(outcome, DureError) else None
            self.figures.finished(error, monotonic() - self.read_at, self.endpoint, self.rows)
        if self.traces is not None:
            self._trace(self.traces, outcome)
        self.on_done(outcome)

    def _trace(self, traces: Traces, outcome: Outcome | DureError) -> None:
        if isinstance(outcome, DureError):
            traces.record(self.endpoint, self.rows, self.read_at, self.traceparent, outcome, [])
        else:
            visits = [(name, outcome.arrived[name], served) for name, served in outcome.served.items()]
            traces.record(self.endpoint, self.rows, self.read_at, self.traceparent, None, visits)


class Handle(Protocol):
    """A request on its way."""

    def withdraw(self) -> None:
        """The caller no longer wants it: what is queued is dropped, what runs is ended if it can be."""

    def hold(self, *, held: bool) -> None:
        """Make no more parts of a streamed answer for now, or go on."""


class _Until:
    """A request that is withdrawn, wherever it is, when its time is over."""

    def __init__(self, request: Request, submit: Callable[[Request], Handle | None]) -> None:
        self._request, self._on_done = request, request.on_done
        self._timer = asyncio.get_running_loop().call_later(max(request.timeout_s, 0.0), self._expire)
        request.deadline, request.on_done = request.read_at + request.timeout_s, self._done
        self._inner = submit(request)

    def handle(self) -> Handle | None:
        return self if self._inner is not None else None

    def withdraw(self) -> None:
        self._timer.cancel()
        if self._inner is not None:
            self._inner.withdraw()

    def hold(self, *, held: bool) -> None:
        if self._inner is not None:
            self._inner.hold(held=held)

    def _done(self, outcome: Outcome | DureError) -> None:
        self._timer.cancel()
        self._on_done(outcome)

    def _expire(self) -> None:
        self.withdraw()
        timeout_s = self._request.timeout_s
        self._request.finish(
            DeadlineExceeded(f"no answer within {timeout_s:g} s (timeout_s); what was not begun never will be")
        )


class _Route(NamedTuple):
    only: str | None
    first: list[str]
    needs: dict[str, list[str]]
    after: dict[str, list[str]]
    leaves: list[str]
    is_shared: bool


class Router:
    """The graph.

    Args:
        nodes: Executor name -> its place in the graph; `gateway` is the Flow's entrance. Without cycles, and in an
            order in which every name comes after what it needs.
        on_change: Called when a replica of any Executor came or went.
        ask: Called with what is asked of whoever starts and ends workers.

    Attributes:
        figures: What became of requests.
        nodes: As they were given.
        is_ending: Whether no more requests should be sent here: what is on its way is answered yet.
        traces: Where spans are made of them, if anywhere.
    """

    def __init__(
        self, nodes: Mapping[str, Node], on_change: Callable[[], None], ask: Callable[[dict[str, Any]], None]
    ) -> None:
        self.dispatchers = {name: Dispatcher(name, node, self._changed, ask) for name, node in nodes.items()}
        self.figures = RequestFigures()
        self.traces: Traces | None = None
        self.is_ending = False
        self.nodes = nodes
        self._on_change = on_change
        self._routes: dict[str, _Route] = {}

    @property
    def available(self) -> bool:
        """Whether every Executor has a replica, and the Flow is to stay."""
        return not self.is_ending and all(dispatcher.available for dispatcher in self.dispatchers.values())

    def _changed(self) -> None:
        self._routes.clear()  # a new worker may answer other endpoints
        self._on_change()

    def endpoints(self) -> list[str]:
        """Every endpoint of every Executor; `/default` stands for "whatever else"."""
        return sorted({name for d in self.dispatchers.values() for name in d.endpoints})

    def submit(self, request: Request) -> Handle | None:
        """Send a request on its way; what is returned can withdraw or hold it."""
        request.priority = min(max(request.priority, -MAX_PRIORITY), MAX_PRIORITY)
        request.read_at, request.figures, request.traces = monotonic(), self.figures, self.traces
        visit = VISIT.get()
        return self._begin(request) if visit is None else submit_of(visit, request, self._begin)

    def _begin(self, request: Request) -> Handle | None:
        return _Until(request, self._submit).handle() if request.timeout_s else self._submit(request)

    def _submit(self, request: Request) -> Handle | None:
        try:
            route = self._routes.get(request.endpoint) or self._find_route(request.endpoint)
        except EndpointNotFound as error:
            request.finish(error)
            return None
        if route.only is not None:
            return self._visit_only(route.only, request)
        if route.is_shared:
            try:
                request.payload = with_ids(request.form, request.payload)
            except RequestError as error:
                request.finish(error)
                return None
        walk = Walk(self.dispatchers, route, request)
        walk.start()
        return walk

    def _visit_only(self, name: str, request: Request) -> Job:
        # Most Flows answer an endpoint with one Executor: there is no way to keep track of.
        def done(answer: Answer | DureError) -> None:
            if isinstance(answer, DureError):
                request.finish(answer)
            else:
                results = {name: answer.result} if answer.result else {}
                served = {name: answer.served} if answer.served is not None else {}
                # When it was read it came here: to ask the job would make a cycle, which keeps payloads for long.
                request.finish(Outcome(answer.rows, answer.payload, results, served, {name: request.read_at}))

        job = Job(
            request.endpoint,
            request.parameters,
            request.form,
            request.rows,
            [request.payload],
            request.stream,
            request.on_part,
            done,
            request.priority,
            request.deadline,
            request.client,
            request.weight,
        )
        self.dispatchers[name].submit(job)
        return job

    def _find_route(self, endpoint: str) -> _Route:
        active = [name for name, dispatcher in self.dispatchers.items() if dispatcher.answers(endpoint)]
        if not active and self.dispatchers:
            known = [name for name in self.endpoints() if name != DEFAULT]
            raise EndpointNotFound(
                f"no Executor of this Flow answers {endpoint!r}.{suggest(endpoint, known)}"
                f" There are: {', '.join(known) or 'none'}."
            )
        needs = {name: self._active_needs(name, active) for name in active}
        after: dict[str, list[str]] = {name: [] for name in active}
        for name, sources in needs.items():
            for source in sources:
                if source != GATEWAY:
                    after[source].append(name)
        route = _Route(
            only=active[0] if len(active) == 1 else None,
            first=[name for name in active if needs[name] == [GATEWAY]],
            needs=needs,
            after=after,
            leaves=[name for name in active if not after[name]],
            is_shared=sum(GATEWAY in sources for sources in needs.values()) > 1,
        )
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()  # a default method answers any name a client thinks of
        self._routes[endpoint] = route
        return route

    def _active_needs(self, name: str, active: list[str]) -> list[str]:
        found: dict[str, None] = {}
        for source in self.nodes[name].needs:
            if source == GATEWAY or source in active:
                found[source] = None
            else:
                found.update(dict.fromkeys(self._active_needs(source, active)))
        return list(found)


class Walk:
    """One request on its way through the graph."""

    __slots__ = (
        "_arrived",
        "_dispatchers",
        "_jobs",
        "_left",
        "_outputs",
        "_over",
        "_request",
        "_results",
        "_route",
        "_served",
    )

    def __init__(self, dispatchers: dict[str, Dispatcher], route: _Route, request: Request) -> None:
        self._dispatchers = dispatchers
        self._route = route
        self._request = request
        self._outputs: dict[str, Answer] = {}
        self._results: dict[str, bytes] = {}
        self._served: dict[str, Served] = {}
        self._arrived: dict[str, float] = {}
        self._jobs: list[Job] = []
        self._left = len(route.leaves)
        self._over = False

    def start(self) -> None:
        """Begin with the Executors that need nothing but the request."""
        if not self._route.leaves:
            self._finish(Outcome(self._request.rows, self._request.payload, {}))
        for name in self._route.first:
            if not self._over:  # the one before may have failed at once
                self._visit(name)

    def withdraw(self) -> None:
        """The caller no longer wants it: what is queued is dropped, what runs is ended if it can be."""
        self._over = True
        for job in self._jobs:
            job.withdraw()
        self._jobs.clear()  # a job holds this walk: without the cycle, payloads are freed at once

    def hold(self, *, held: bool) -> None:
        """Make no more parts of a streamed answer for now, or go on."""
        for job in self._jobs:
            job.hold(held=held)

    def _visit(self, name: str) -> None:
        request = self._request
        sources = self._route.needs[name]
        payloads: list[Payload] = [request.payload if s == GATEWAY else self._outputs[s].payload for s in sources]
        rows = request.rows if sources == [GATEWAY] else max(self._outputs[s].rows for s in sources if s != GATEWAY)
        stream = request.stream and self._route.leaves == [name]
        self._send(name, request.endpoint, rows, payloads, stream)

    def _send(self, name: str, endpoint: str, rows: int, payloads: list[Payload], stream: bool) -> None:
        request = self._request
        last = endpoint == JOIN or self._route.leaves == [name]
        job = Job(
            endpoint=endpoint,
            parameters=request.parameters,
            form=request.form if last else between(request.form),
            rows=rows,
            payloads=payloads,
            stream=stream,
            on_part=self._on_part,
            on_done=self._on_joined if endpoint == JOIN else lambda answer: self._on_done(name, answer),
            priority=request.priority,
            deadline=request.deadline,
            client=request.client,
            weight=request.weight,
        )
        self._jobs.append(job)
        self._dispatchers[name].submit(job)
        self._arrived.setdefault(name, job.arrived_at)  # of its method, not of a join that follows

    def _on_part(self, answer: Answer) -> None:
        if not self._over:
            self._request.on_part(answer)

    def _on_done(self, name: str, answer: Answer | DureError) -> None:
        if self._over:
            return
        if isinstance(answer, DureError):
            self._finish(answer)
            return
        self._outputs[name] = answer
        if answer.result:
            self._results[name] = answer.result
        if answer.served is not None:
            self._served[name] = answer.served
        route = self._route
        for follower in route.after[name]:
            if all(need == GATEWAY or need in self._outputs for need in route.needs[follower]):
                self._visit(follower)
        if not route.after[name]:
            self._left -= 1
            if self._left == 0:
                self._end()

    def _end(self) -> None:
        leaves = self._route.leaves
        answers = [self._outputs[name] for name in leaves]
        if len(leaves) == 1:
            self._finish(self._outcome(answers[0]))
        else:
            self._send(leaves[-1], JOIN, max(a.rows for a in answers), [a.payload for a in answers], stream=False)

    def _on_joined(self, answer: Answer | DureError) -> None:
        if not self._over:
            self._finish(answer if isinstance(answer, DureError) else self._outcome(answer))

    def _outcome(self, answer: Answer) -> Outcome:
        return Outcome(answer.rows, answer.payload, self._results, self._served, self._arrived)

    def _finish(self, outcome: Outcome | DureError) -> None:
        self.withdraw()
        self._request.finish(outcome)
