"""What is said over the public gRPC interface, caller's end: requests and answers as messages, statuses as errors.

No IO: `grpc_channel.py` and `grpc_calls.py` move the messages.
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import msgspec
from msgspec import Struct

from dure.client.exchange import Incoming
from dure.client.native import MAX_FRAME_BYTES, Target, check_size
from dure.document import dure_pb2 as pb
from dure.document import plain, protobuf
from dure.document.array import DocumentArray
from dure.errors import ConnectionLost, DureError, SpecError, TooLarge, from_wire
from dure.served import Served
from dure.spec import ClientSpec
from dure.transport.messages import AGE_KEY, LIMIT_KEY

SERVICE = "/dure.v1.Flow"
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else a Flow that was not there a moment ago is not looked for again
]


def envelope_of(number: int, target: Target, documents: DocumentArray, limit: int) -> tuple[pb.RequestEnvelope, int]:
    """Return a request as a message, and the size of its documents in bytes.

    Raises:
        TooLarge: It is more than the Flow accepts (`limit`).
        ValidationError: A value in it cannot travel.
    """
    data = protobuf.encode(documents)
    check_size(len(documents), len(data) + len(target.parameters), limit)
    parameters = ""
    if target.parameters:
        parameters = plain.to_json(msgspec.msgpack.decode(target.parameters), "parameters")
    envelope = pb.RequestEnvelope(
        id=number,
        endpoint=target.endpoint,
        parameters_json=parameters,
        documents=data,
        parts=target.stream,
        timeout_s=target.timeout_s,
        priority=target.priority,
        explain=target.explain,
    )
    return envelope, len(data)


def incoming_of(reply: pb.ReplyEnvelope) -> Incoming:
    """Read an answer, a part of one, or an error."""
    if reply.HasField("error"):
        fields = msgspec.json.decode(reply.error.fields_json or "{}")
        error = from_wire({**fields, "code": reply.error.code, "message": reply.error.message})
        return Incoming(reply.id, error=error)
    results = {name: msgspec.msgpack.encode(msgspec.json.decode(text)) for name, text in reply.results_json.items()}
    served = {name: _served(told) for name, told in reply.served.items()}
    return Incoming(reply.id, protobuf.decode(reply.documents), results=results, served=served, final=not reply.part)


def _served(told: pb.Served) -> Served:
    return Served(**{name: getattr(told, name) for name in Served.__struct_fields__})


class Terms:
    """What the gateway says when a stream begins: how large a request may be, and for how long the stream is good."""

    def __init__(self, metadata: Any) -> None:
        told = dict(metadata or ())
        self.max_request_bytes = int(told.get(LIMIT_KEY, MAX_FRAME_BYTES))
        self._until = monotonic() + float(told.get(AGE_KEY, inf))

    @property
    def are_good(self) -> bool:
        """Whether another request may be sent; if not, it is time to connect again, perhaps to another gateway."""
        return monotonic() < self._until


class Access(Struct, frozen=True):
    """Where a Flow is, and how it is to be spoken to: `tls` by gRPC's credentials, `metadata` with the API key."""

    address: str
    tls: Any = None
    metadata: tuple[tuple[str, str], ...] = ()

    def channel(self, library: Any, options: Sequence[tuple[str, Any]]) -> Any:
        """Return a channel to it, of `grpc` or of `grpc.aio`."""
        if self.tls is None:
            return library.insecure_channel(self.address, options=options)
        return library.secure_channel(self.address, self.tls, options=options)


def access_of(address: str, spec: ClientSpec) -> Access:
    """Return how a Flow is to be spoken to.

    Raises:
        SpecError: A file of `tls_ca`, `tls_cert`, `tls_key` that cannot be read.
    """
    metadata = () if spec.key is None else (("authorization", f"Bearer {spec.key}"),)
    if not spec.is_encrypted:
        return Access(address, None, metadata)
    try:
        files = [
            None if name is None else Path(name).read_bytes() for name in (spec.tls_ca, spec.tls_key, spec.tls_cert)
        ]
    except OSError as error:
        raise SpecError(f"Client.tls_ca, tls_cert, tls_key: {error}") from error
    return Access(address, grpc.ssl_channel_credentials(*files), metadata)


def failure_of(error: grpc.RpcError, address: str) -> DureError:
    """Return what the status of a call means."""
    status = error.code()
    metadata: Any = error.trailing_metadata() or ()
    told = dict(metadata).get("dure-error-bin")
    if told is not None:
        return from_wire(msgspec.json.decode(told))
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooLarge(f"the Flow at {address} refused a message: {error.details()} (max_request_bytes)")
    return ConnectionLost(f"the Flow at {address} cannot be reached, or went away: {status.name}: {error.details()}")
