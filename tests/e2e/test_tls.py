"""TLS at every door, and clients that show certificates of their own."""

from http.client import HTTPSConnection
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import Any

import pytest

from dure import Client, Flow
from dure.errors import ConnectionLost
from tests.certificates import made
from tests.e2e.steps import Slow


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(certificates: Path, mutual: bool) -> None:
    own = {"tls_cert": str(certificates / "server.pem"), "tls_key": str(certificates / "server.key")}
    ca = str(certificates / "ca.pem")
    theirs = {"tls_cert": str(certificates / "client.pem"), "tls_key": str(certificates / "client.key")}
    settings: dict[str, Any] = {**own, "tls_client_ca": ca} if mutual else own
    with Flow(protocol=["grpc", "http"], metrics_port=0, **settings).add(uses=Slow) as flow:
        port = flow.ports["grpc"]
        with Client(port=port, protocol="grpc", tls_ca=ca, **(theirs if mutual else {})) as client:
            assert len(client.post("/work", ["a"])) == 1
        strangers: list[dict[str, Any]] = [{}, {"tls": True}, *([{"tls_ca": ca}] if mutual else [])]
        for stranger in strangers:
            with pytest.raises(ConnectionLost), Client(port=port, protocol="grpc", **stranger) as client:
                client.post("/work", ["a"])
        for port, path in ((flow.ports["http"], "/health/live"), (flow.metrics_port or 0, "/metrics")):
            assert https_status(port, path, ca, theirs if mutual else None) == 200
        if mutual:
            with pytest.raises((SSLError, ConnectionError)):
                https_status(flow.ports["http"], "/health/live", ca, None)


def https_status(port: int, path: str, ca: str, own: dict[str, str] | None) -> int:
    context = create_default_context(cafile=ca)
    if own is not None:
        context.load_cert_chain(own["tls_cert"], own["tls_key"])
    connection = HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
