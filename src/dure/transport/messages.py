"""What stands in the headers of frames: the words client, gateway and worker say to each other.

Records only. Payloads (documents) are the frames' bodies and are not looked at here.
"""

from typing import Any, TypeVar

import msgspec

from dure.errors import DecodeError
from dure.served import Served
from dure.spec import BatchSpec

VERSION = 2
"""Of the wire. Both ends say theirs in HELLO; another one is refused."""

LIMIT_KEY = "dure-max-request-bytes"
"""Metadata in which the gateway tells a gRPC client what GatewayHello tells one on our own channel."""

AGE_KEY = "dure-max-connection-age-s"
"""Metadata in which the gateway tells a gRPC client for how long it may keep a stream, if there is a limit."""

JOIN = "/dure.join"
"""Endpoint of every worker: answers with the payloads of a request joined, where a Flow ends in several branches."""

M = TypeVar("M", bound=msgspec.Struct)


class EndpointInfo(msgspec.Struct, array_like=True, frozen=True):
    """What the gateway has to know of an endpoint of a worker.

    `concurrent`: its calls run beside each other and can be told to end. Calls of the others are begun one after the
    other, so all but the oldest unanswered one of them have had no effect. `parameters` is the schema of what it takes
    as such, as `executor/parameters.py` writes it.
    """

    batching: BatchSpec
    concurrent: bool
    streaming: bool = False
    description: str = ""
    parameters: dict[str, Any] = {}


class WorkerHello(msgspec.Struct, array_like=True, frozen=True):
    """A worker's first words: who it is, what it answers, and how many calls it takes at once.

    `slots_in_order` are those for calls of endpoints that are not concurrent. `concurrency` is how many calls really
    run at a time: with fewer than that in its hands, it has nothing better to do than what is sent now.
    """

    version: int
    name: str
    endpoints: dict[str, EndpointInfo]
    slots: int
    slots_in_order: int
    concurrency: int


class GatewayHello(msgspec.Struct, array_like=True, frozen=True):
    """A gateway's first words to a client on our own channel."""

    version: int
    max_request_bytes: int


class Call(msgspec.Struct, array_like=True, frozen=True):
    """Client to gateway: one request. `parameters` is a msgpack map, or nothing.

    `timeout_s` is how long the answer is of use, from now on, 0 for ever; with `explain` the answer tells how it came
    about.
    """

    endpoint: str
    parameters: bytes
    rows: int
    stream: bool
    priority: int = 0
    timeout_s: float = 0.0
    explain: bool = False


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """Gateway to client: the documents of the body are an answer, or with PART a part of one.

    `results`: Executor name -> what its method returned as a dict, each a msgpack value. `served`: Executor name -> how
    it served the request, if that was asked for.
    """

    rows: int
    results: dict[str, bytes]
    served: dict[str, Served] = {}


class Item(msgspec.Struct, array_like=True, frozen=True):
    """One request within a batch: its form, its number of documents, and the sizes of its payloads in the body.

    There are several payloads where branches of a Flow come together.
    """

    form: str
    rows: int
    sizes: list[int]


class BatchCall(msgspec.Struct, array_like=True, frozen=True):
    """Gateway to worker: requests with one endpoint and equal parameters, to be served by one call of a method."""

    endpoint: str
    parameters: bytes
    stream: bool
    items: list[Item]


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """How one request of a batch ended: `size` bytes of the body are its documents, or its error as a msgpack map."""

    failed: bool
    rows: int
    size: int
    result: bytes


class Spent(msgspec.Struct, array_like=True):
    """What a worker spent on a batch, in seconds: on reading documents, in methods, on writing answers.

    `stages` is what the Executor itself said of the time in methods, `num_cached` how many documents were not given to
    a method because the answer was known.
    """

    decode_s: float = 0.0
    compute_s: float = 0.0
    encode_s: float = 0.0
    num_calls: int = 0
    stages: dict[str, float] = {}
    num_cached: int = 0


class BatchReply(msgspec.Struct, array_like=True, frozen=True):
    """Worker to gateway: one outcome for each item of the batch, in order, and what it took."""

    outcomes: list[Outcome]
    spent: Spent


class Part(msgspec.Struct, array_like=True, frozen=True):
    """Worker to gateway: the body is a part of the answer to a streaming call (of one item)."""

    rows: int


class Leave(msgspec.Struct, array_like=True, frozen=True):
    """Worker to gateway: it ends. Numbers of the calls that are begun and not answered; the others never will be."""

    begun: list[int]


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (WorkerHello, GatewayHello, Call, Reply, BatchCall, BatchReply, Part, Leave)
}


def encode(message: Any) -> bytes:
    """Return a record of this module (or plain values) as msgpack."""
    return _encoder.encode(message)


def decode(kind: type[M], header: bytes) -> M:
    """Read a record.

    Raises:
        DecodeError: The bytes are not such a record.
    """
    try:
        message: M = _decoders[kind].decode(header)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"not a {kind.__name__}: {error}") from error
    return message


def decode_error(data: bytes | bytearray | memoryview) -> dict[str, Any]:
    """Read an error's fields (`dure.errors.from_wire` makes the error of them)."""
    fields = msgspec.msgpack.decode(data)
    return fields if isinstance(fields, dict) else {}


def check_version(theirs: int, who: str) -> None:
    """Refuse a peer that speaks another version of the wire.

    Raises:
        DecodeError: The versions differ; says both.
    """
    if theirs != VERSION:
        raise DecodeError(
            f"{who} speaks version {theirs} of the wire, this is version {VERSION}: upgrade the older one"
        )
