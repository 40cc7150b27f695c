"""What is written to a client who has gone."""

import asyncio

import pytest
import uvloop

from dure.gateway.http_connection import Corked


def test_what_is_written_to_a_client_who_has_gone_is_dropped() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[asyncio.Transport] = loop.create_future()
        gone = asyncio.Event()

        class Server(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                arrived.set_result(transport)  # type: ignore[arg-type]

            def connection_lost(self, exc: Exception | None) -> None:
                gone.set()

        server = await loop.create_server(Server, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport = await arrived
        corked = Corked(transport)
        corked.cork()
        corked.write(b"kept")
        writer.close()
        await gone.wait()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="handler is closed"):
            transport.write(b"x")
        corked.uncork()
        corked.write(b"later")
        server.close()

    uvloop.run(scene())
