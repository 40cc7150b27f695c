"""A Flow inside of an application of the user's own: ASGI on one side, the Flow's HTTP port on the other.

    door = flow.asgi()
    app = FastAPI(lifespan=door.lifespan)
    app.mount("/dure", door)

Requests, answers and WebSockets are handed on as they come, in both directions. Knows no routes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

import msgspec

from dure.deps import require
from dure.errors import ConnectionLost, SpecError, to_wire
from dure.spec import GatewaySpec, is_loopback

if TYPE_CHECKING:
    import aiohttp

# Of a connection, not of what travels on it; and what is said anew by whoever hands on.
_HOP = {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer"}
_HOP |= {b"transfer-encoding", b"upgrade", b"proxy-connection"}
_SAID_ANEW = {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-forwarded-host"}
_UNASKED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_GOING_AWAY = 1001
_NOT_TO_BE_SENT = (1005, 1006, 1015)


class Served(Protocol):
    """What a relay stands before: a Flow."""

    def start(self) -> Self:
        """Begin to serve."""

    def close(self) -> None:
        """End."""

    @property
    def host(self) -> str:
        """Where it listens."""

    @property
    def ports(self) -> dict[str, int]:
        """The port of each protocol."""


def behind(spec: GatewaySpec) -> GatewaySpec:
    """Return the settings of a gateway that a relay stands before: it believes the relay whose requests those are.

    Raises:
        SpecError: It could not be reached so.
    """
    if "http" not in spec.protocol:
        raise SpecError(f"protocol: a Flow in another app is called over HTTP; add it to {', '.join(spec.protocol)}")
    if not is_loopback(spec.host):
        raise SpecError(f"host: a Flow in another app listens on this machine only, not on {spec.host}")
    if spec.tls_cert is not None:
        raise SpecError("tls_cert: a Flow in another app leaves TLS to that app's server")
    if spec.reuse_port:
        raise SpecError("reuse_port: a Flow in another app has a port of its own")
    return msgspec.structs.replace(spec, trusted_proxies=[*spec.trusted_proxies, "127.0.0.1", "::1"])


class Relay:
    """An ASGI application that hands on what comes to a Flow's HTTP port.

    Args:
        flow: The Flow; started and closed with the application's lifespan.

    Attributes:
        flow: The same: to call it from code beside.
    """

    def __init__(self, flow: Any) -> None:
        require("aiohttp", "http")
        self.flow = flow
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Start the Flow, and close it at the end: `FastAPI(lifespan=door.lifespan)`, or inside of yours.

        Args:
            app: The application, which frameworks hand over.
        """
        await asyncio.to_thread(self.flow.start)
        try:
            self._session = _session()
            yield
        finally:
            session, self._session = self._session, None
            if session is not None:
                await session.close()
            await asyncio.to_thread(self.flow.close)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Hand on a request or a WebSocket; or begin and end, as an application by itself."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._session is None:
            raise RuntimeError("the Flow does not run: give your app its lifespan, FastAPI(lifespan=door.lifespan)")
        elif scope["type"] == "websocket":
            await _Socket(scope, receive, send).relay(self._session, self._url(scope, "ws"))
        else:
            await self._relay(self._session, scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def _url(self, scope: dict[str, Any], kind: str) -> Any:
        import yarl

        host = f"[{self.flow.host}]" if ":" in self.flow.host else self.flow.host
        query = scope.get("query_string", b"").decode("latin-1")
        port = self.flow.ports["http"]
        target = f"{kind}://{host}:{port}{_path(scope)}{'?' if query else ''}{query}"
        return yarl.URL(target, encoded=True)

    async def _relay(self, session: Any, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == scope.get("root_path", "") != "":
            # What the Flow's pages name is below the prefix, so that must end with a slash.
            location = quote(scope["root_path"]).encode() + b"/"
            await _answer(send, 307, [(b"location", location)], b"")
            return
        body = _Body(receive)
        handing = asyncio.ensure_future(self._hand_on(session, scope, body, send))
        leaving = asyncio.ensure_future(body.lost.wait())
        try:
            await asyncio.wait([handing, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            body.close()
            if not handing.done():
                handing.cancel()  # which closes the connection, and so the Flow knows, too
        if handing.done() and not handing.cancelled():
            handing.result()

    async def _hand_on(self, session: Any, scope: dict[str, Any], body: "_Body", send: Any) -> None:
        import aiohttp

        headers = _headers(scope)
        has_body = any(name in headers for name in ("content-length", "transfer-encoding"))
        headers.pop("transfer-encoding", None)
        asked = session.request(
            scope["method"],
            self._url(scope, "http"),
            headers=headers,
            data=body if has_body else None,
            allow_redirects=False,
            skip_auto_headers=_UNASKED,
        )
        body.watch(has_body=has_body)
        try:
            answer = await asked
        except aiohttp.ClientConnectionError:
            error = ConnectionLost("the Flow cannot be reached")
            told = msgspec.json.encode({"error": to_wire(error)})
            await _answer(send, error.http_status, [(b"content-type", b"application/json")], told)
            return
        async with answer:
            fields = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() not in _HOP]
            await send({"type": "http.response.start", "status": answer.status, "headers": fields})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class _Body:
    """A request's body, as it comes; and whether the client is still there."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()

    def watch(self, *, has_body: bool) -> None:
        if not has_body:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.lost.set()
                return
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)
        self.watch(has_body=False)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.lost.set()


class _Socket:
    """A WebSocket, and the one to the Flow."""

    def __init__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self._scope, self._receive, self._send = scope, receive, send

    async def relay(self, session: Any, url: Any) -> None:
        import aiohttp

        await self._receive()
        headers = {name: text for name, text in _headers(self._scope).items() if not name.startswith("sec-websocket-")}
        try:
            flow = await session.ws_connect(
                url, headers=headers, protocols=self._scope.get("subprotocols", ()), max_msg_size=0, autoclose=False
            )
        except aiohttp.WSServerHandshakeError as error:
            await self._refuse(error.status)
            return
        except aiohttp.ClientConnectionError:
            await self._refuse(503)
            return
        async with flow:
            await self._send({"type": "websocket.accept", "subprotocol": flow.protocol})
            ways = [asyncio.ensure_future(self._to(flow)), asyncio.ensure_future(self._from(flow))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        for way in ways:
            if way.done() and not way.cancelled():
                way.result()

    async def _refuse(self, status: int) -> None:
        if "websocket.http.response" in self._scope.get("extensions", {}):
            await _answer(self._send, status, [], b"", kind="websocket.http")
        else:
            await self._send({"type": "websocket.close", "code": 1008})

    async def _to(self, flow: Any) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                await flow.send_bytes(message["bytes"])
            else:
                await flow.send_str(text)
        code = message.get("code") or _GOING_AWAY
        await flow.close(code=_GOING_AWAY if code in _NOT_TO_BE_SENT else code)

    async def _from(self, flow: Any) -> None:
        import aiohttp

        async for message in flow:
            key = "text" if message.type is aiohttp.WSMsgType.TEXT else "bytes"
            await self._send({"type": "websocket.send", key: message.data})
        code = flow.close_code or _GOING_AWAY
        await self._send({"type": "websocket.close", "code": _GOING_AWAY if code in _NOT_TO_BE_SENT else code})


def _session() -> "aiohttp.ClientSession":
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _path(scope: dict[str, Any]) -> str:
    """Return the path below the prefix, as the client wrote it."""
    root: str = scope.get("root_path", "")
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    prefix = quote(root).encode()
    rest = raw.removeprefix(prefix) if raw.startswith(prefix) else quote(scope["path"].removeprefix(root)).encode()
    return rest.partition(b"?")[0].decode("latin-1") or "/"


def _headers(scope: dict[str, Any]) -> Any:
    from multidict import CIMultiDict

    client = scope.get("client")
    named = {
        name.strip().lower() for key, value in scope["headers"] if key == b"connection" for name in value.split(b",")
    }
    dropped = (_HOP - {b"transfer-encoding"}) | _SAID_ANEW | (named - {b"transfer-encoding"})
    headers = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name not in dropped
    )
    headers["x-forwarded-for"] = client[0] if client else "unknown"
    headers["x-forwarded-proto"] = scope.get("scheme", "http")
    if scope.get("root_path"):
        headers["x-forwarded-prefix"] = quote(scope["root_path"])
    return headers


async def _answer(
    send: Any, status: int, fields: list[tuple[bytes, bytes]], body: bytes, *, kind: str = "http"
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": f"{kind}.response.start", "status": status, "headers": [*fields, length]})
    await send({"type": f"{kind}.response.body", "body": body})
