"""The WebSocket door: many requests of one client at once, each under an id that the client chose.

    {"id": 1, "endpoint": "/encode", "data": [{"text": "many hands"}]}   ->   {"id": 1, "data": […]}

A text frame is one such object. A binary frame is a message `RequestsEnvelope` of `dure.proto`, as in the stream of the
gRPC door, and answered with `RepliesEnvelope`. Knows nothing of sockets.
"""

import asyncio
from typing import Any, TypeAlias

import msgspec
from google.protobuf.message import DecodeError as ProtobufError

from dure.document import dure_pb2 as pb
from dure.document.forms import JSON as JSON_FORM
from dure.errors import DecodeError, DureError
from dure.gateway.age import aged
from dure.gateway.envelopes import submit_envelope
from dure.gateway.http_exchange import error_body, to_json
from dure.gateway.http_json import NamedBody, answer_pieces, packed, parsed
from dure.gateway.job import Answer
from dure.gateway.router import Outcome, Request, Router
from dure.gateway.session import Session
from dure.spec import GatewaySpec

_Reply: TypeAlias = bytes | pb.ReplyEnvelope
_Session: TypeAlias = Session[_Reply]

_GOING_AWAY = 1001
_UNSUPPORTED = 1003


class SocketMessage(NamedBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request: the body of an HTTP request, to any endpoint, under an id.

    `stream` asks for each part of the answer as it comes. `cancel` withdraws the request of that id.
    """

    id: int | str
    endpoint: str = ""
    stream: bool = False
    cancel: bool = False


class _Named(msgspec.Struct):
    id: int | str | None = None


class WebSockets:
    """Every client's connection.

    Args:
        router: Where requests go.
        spec: Limits.
    """

    def __init__(self, router: Router, spec: GatewaySpec) -> None:
        self._router = router
        self._spec = spec
        self._sessions: set[_Session] = set()
        self._is_ending = False
        self._read = msgspec.json.Decoder(SocketMessage).decode

    async def serve(self, receive: Any, send: Any) -> None:
        """Answer one client until it or the Flow goes."""
        await receive()
        await send({"type": "websocket.accept"})
        session: _Session = Session(self._router, self._spec)
        self._sessions.add(session)
        loop, max_age_s = asyncio.get_running_loop(), self._spec.max_connection_age_s
        reader = loop.create_task(self._read_all(session, receive))
        ageing = None if max_age_s is None else loop.call_later(aged(max_age_s), session.finish)
        try:
            while replies := await session.next_replies():
                for message in _messages(replies):
                    await send(message)
            if not reader.done():
                reason = "the Flow ends" if self._is_ending else "the connection is old; connect again"
                await send({"type": "websocket.close", "code": _GOING_AWAY, "reason": reason})
        finally:
            if ageing is not None:
                ageing.cancel()
            self._sessions.discard(session)
            reader.cancel()
            session.withdraw_all()

    def finish(self) -> None:
        """Answer what is on its way, then let every client go."""
        self._is_ending = True
        for session in self._sessions:
            session.finish()

    async def _read_all(self, session: _Session, receive: Any) -> None:
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text, data = message.get("text"), message.get("bytes")
                if text is not None:
                    self._on_text(session, text)
                elif data is not None:
                    self._on_bytes(session, data)
                await session.room()
        finally:
            session.withdraw_all()
            session.finish()

    def _on_text(self, session: _Session, text: str) -> None:
        number: int | str | None = None
        try:
            message: SocketMessage = parsed(self._read, text)
            number = message.id
            if message.cancel:
                session.withdraw(("json", number))
                return
            self._submit(session, message)
        except DureError as error:
            session.tell(_error(_id_of(text) if number is None else number, error), 0)

    def _submit(self, session: _Session, message: SocketMessage) -> None:
        number, explain = message.id, message.explain
        request = Request(
            message.endpoint,
            packed(message.parameters),
            JSON_FORM,
            len(message.data),
            b"[" + b",".join(message.data) + b"]",
            message.stream,
            priority=message.priority,
            timeout_s=message.checked_timeout_s,
        )
        head = b'{"id":' + to_json(number) + b","

        def part(answer: Answer) -> bytes:
            return head + b'"part":true,"data":' + bytes(answer.payload) + b"}"

        def whole(outcome: Outcome | DureError) -> bytes:
            if isinstance(outcome, DureError):
                return _error(number, outcome)
            return head + b"".join(answer_pieces(outcome, explain=explain))[1:]

        session.submit(("json", number), request, part, whole)

    def _on_bytes(self, session: _Session, data: bytes) -> None:
        try:
            envelopes = pb.RequestsEnvelope.FromString(data).requests
        except ProtobufError as error:
            session.tell(_error(None, DecodeError(f"a binary frame is not a RequestsEnvelope: {error}")), 0)
            return
        for envelope in envelopes:
            submit_envelope(session, envelope, self._spec.max_request_bytes)


def _error(number: Any, error: DureError) -> bytes:
    return to_json({"id": number, "error": error_body(error)})


def _id_of(text: str) -> int | str | None:
    """Return the id of a message that has something else wrong, if there is one to be found."""
    try:
        return msgspec.json.decode(text, type=_Named).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _messages(replies: list[_Reply]) -> list[dict[str, Any]]:
    """Return frames; binary answers that are ready together travel together."""
    envelopes = [reply for reply in replies if not isinstance(reply, bytes)]
    texts = [reply.decode() for reply in replies if isinstance(reply, bytes)]
    messages: list[dict[str, Any]] = [{"type": "websocket.send", "text": text} for text in texts]
    if envelopes:
        data = pb.RepliesEnvelope(replies=envelopes).SerializeToString()
        messages.append({"type": "websocket.send", "bytes": data})
    return messages
