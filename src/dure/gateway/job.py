"""A request's visit to one Executor: what the dispatcher queues, batches and answers.

A record with two callbacks. Knows neither replicas nor protocols.
"""

from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import TypeAlias

from msgspec import Struct

from dure.errors import DureError
from dure.served import Served

Payload: TypeAlias = bytes | bytearray | memoryview


class Order(Enum):
    """What may be said to a worker about a request that it has."""

    CANCEL = auto()
    HOLD = auto()
    GO_ON = auto()


class Answer(Struct):
    """Documents that came back: their number, their payload in the request's form, and a dict result as msgpack.

    `served` tells how, of an answer that is whole.
    """

    rows: int
    payload: Payload
    result: bytes = b""
    served: Served | None = None


OnPart: TypeAlias = Callable[[Answer], None]
OnDone: TypeAlias = Callable[[Answer | DureError], None]


class Job(Struct, eq=False):
    """One request at one Executor.

    `payloads` holds more than one where branches of the Flow come together. `on_done` is called exactly once, unless
    the job is withdrawn; `on_part` before that, for each part of a streamed answer. `tell` says something to the
    worker that has it, if that one would listen.

    Moments are those of one monotonic clock, in seconds. `cost` is that of all its documents, `longest` that of the
    dearest, in the unit of the Executor's `BatchSpec`; the dispatcher fills them in, and `arrived_at`. `turn` is when
    it is served beside those of other clients; the queue fills it in.
    """

    endpoint: str
    parameters: bytes
    form: str
    rows: int
    payloads: list[Payload]
    stream: bool
    on_part: OnPart
    on_done: OnDone
    priority: int = 0
    deadline: float = inf
    client: str = ""
    weight: float = 1.0
    turn: float = 0.0
    arrived_at: float = 0.0
    sent_at: float = 0.0
    cost: float = 0.0
    longest: float = 1.0
    withdrawn: bool = False
    tell: Callable[[Order], None] | None = None

    def finish(self, answer: Answer | DureError) -> None:
        """Tell the answer, if somebody still wants it."""
        if not self.withdrawn:
            self.on_done(answer)

    def withdraw(self) -> None:
        """Nobody wants it any more: it is not sent if it waits, and ended if it runs and can be."""
        self.withdrawn = True
        self.payloads = []  # it may stand in a queue for long
        if self.tell is not None:
            self.tell(Order.CANCEL)

    def hold(self, *, held: bool) -> None:
        """Make no more parts of a streamed answer for now, or go on."""
        if self.stream and self.tell is not None:
            self.tell(Order.HOLD if held else Order.GO_ON)

    def merges_with(self, other: "Job") -> bool:
        """Whether both may be served by one call of a method."""
        return (
            self.endpoint == other.endpoint
            and self.parameters == other.parameters
            and len(self.payloads) == 1 == len(other.payloads)
        )
