"""Envelopes of `dure.proto`: requests as clients of gRPC and WebSocket send them, and their answers.

The documents in them stay bytes and are decoded by the worker.
"""

from math import inf
from typing import Any

import msgspec
from google.protobuf.message import DecodeError as ProtobufError

from dure.document import dure_pb2 as pb
from dure.document.forms import PROTOBUF
from dure.errors import DecodeError, DureError, RequestError, TooLarge, ValidationError, to_wire
from dure.gateway.json_depth import check_depth
from dure.gateway.router import Outcome, Request
from dure.gateway.session import Session


def submit_envelope(session: Session[Any], envelope: pb.RequestEnvelope, max_bytes: int) -> None:
    """Send a request on its way; if it cannot be read, that is its answer."""
    number, explain = envelope.id, envelope.explain
    try:
        session.submit(
            number,
            request_of(envelope, max_bytes),
            lambda answer: pb.ReplyEnvelope(id=number, documents=bytes(answer.payload), part=True),
            lambda outcome: reply_of(number, outcome, explain=explain),
        )
    except RequestError as error:
        session.tell(reply_of(number, error), 0)


def request_of(envelope: pb.RequestEnvelope, max_bytes: int) -> Request:
    """Read a request.

    Raises:
        TooLarge: It has more bytes than that.
        DecodeError: Parameters that are no JSON object, or documents that are no message.
        ValidationError: A time that is neither a positive number nor 0.
    """
    if not 0 <= envelope.timeout_s < inf:
        raise ValidationError(f"timeout_s must be a number of seconds, not {envelope.timeout_s}")
    size = len(envelope.documents) + len(envelope.parameters_json)
    if size > max_bytes:
        raise TooLarge(
            f"a request of {size:,} bytes is larger than this Flow accepts (max_request_bytes={max_bytes:,});"
            " send fewer documents a request, or raise the limit"
        )
    parameters = b""
    if envelope.parameters_json:
        try:
            check_depth(envelope.parameters_json)
            values = msgspec.json.decode(envelope.parameters_json)
        except msgspec.DecodeError as error:
            raise DecodeError(f"parameters_json is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise DecodeError(f"parameters_json must be an object, not {envelope.parameters_json!r:.60}")
        try:
            parameters = msgspec.msgpack.encode(values) if values else b""
        except OverflowError as error:
            raise DecodeError(f"parameters_json: {error}") from error
    try:
        rows = pb.DocumentsHead.FromString(envelope.documents).rows
    except ProtobufError as error:
        raise DecodeError(f"documents is not a message Documents: {error}") from error
    return Request(
        envelope.endpoint,
        parameters,
        PROTOBUF,
        rows,
        envelope.documents,
        envelope.parts,
        priority=envelope.priority,
        timeout_s=envelope.timeout_s,
    )


def reply_of(number: int, outcome: Outcome | DureError, *, explain: bool = False) -> pb.ReplyEnvelope:
    """Write an answer, or what it came to instead; `explain` adds how it was served."""
    if isinstance(outcome, DureError):
        fields = to_wire(outcome)
        error = pb.Error(code=fields.pop("code"), message=str(fields.pop("message")))
        error.fields_json = msgspec.json.encode(fields).decode()
        return pb.ReplyEnvelope(id=number, error=error)
    results = {
        name: msgspec.json.encode(msgspec.msgpack.decode(data)).decode() for name, data in outcome.results.items()
    }
    reply = pb.ReplyEnvelope(id=number, documents=bytes(outcome.payload), results_json=results)
    if explain:
        for name, served in outcome.served.items():
            reply.served[name].CopyFrom(pb.Served(**msgspec.structs.asdict(served)))
    return reply
