"""What is said on our own channel, caller's end: a request as a frame, a frame as what it means.

No IO: `native_channel.py` and `async_native_channel.py` move the bytes.
"""

from msgspec import Struct

from dure.client.exchange import Incoming
from dure.document.array import DocumentArray
from dure.document.codec import decode, encode
from dure.errors import TooLarge, from_wire
from dure.transport import messages
from dure.transport.frames import Buffers, Frame, Kind, pack

MAX_FRAME_BYTES = 0xFFFFFFFF
"""An answer may be of any size: the client asked for it."""

_HEADER_BYTES = 4096

GONE = "the connection to the Flow was lost; what was under way may or may not have been done"


class Target(Struct, frozen=True):
    """What is called and how: endpoint, encoded parameters, whether parts of answers are wanted as they are made.

    The others are those of `PostOptions`; a `timeout_s` of 0 is none.
    """

    endpoint: str
    parameters: bytes
    stream: bool
    priority: int = 0
    timeout_s: float = 0.0
    explain: bool = False


def request_frame(number: int, target: Target, documents: DocumentArray, limit: int) -> tuple[Buffers, int]:
    """Return a request as the pieces of a frame, and its size in bytes.

    Raises:
        TooLarge: It is more than the Flow accepts (`limit`).
        ValidationError: A value in it cannot travel.
    """
    body: Buffers = list(encode(documents))
    size = sum([len(piece) for piece in body])
    check_size(len(documents), size + len(target.parameters), limit)
    call = messages.Call(
        target.endpoint,
        target.parameters,
        len(documents),
        target.stream,
        target.priority,
        target.timeout_s,
        target.explain,
    )
    return pack(Kind.CALL, number, messages.encode(call), body), size


def check_size(num_documents: int, size: int, limit: int) -> None:
    """Refuse a request of `size` bytes that the Flow would refuse.

    Raises:
        TooLarge: It does, with what a header takes, not fit into `limit`.
    """
    if size + _HEADER_BYTES > limit:
        raise TooLarge(
            f"a request of {num_documents} documents takes {size:,} bytes; this Flow accepts {limit:,}"
            " (max_request_bytes): send fewer documents a request (request_size), or raise the limit"
        )


def incoming_of(frame: Frame) -> Incoming:
    """Read an answer, a part of one, or an error."""
    if frame.kind is Kind.ERROR:
        return Incoming(frame.id, error=from_wire(messages.decode_error(frame.header)))
    reply = messages.decode(messages.Reply, frame.header)
    return Incoming(
        frame.id, decode(frame.body), results=reply.results, served=reply.served, final=frame.kind is Kind.REPLY
    )


def limit_of(frame: Frame) -> int:
    """Read the Flow's first words; return the largest request it accepts, in bytes."""
    hello = messages.decode(messages.GatewayHello, frame.header)
    messages.check_version(hello.version, "the Flow")
    return hello.max_request_bytes
