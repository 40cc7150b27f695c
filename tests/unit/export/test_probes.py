from pathlib import Path
from typing import Any

import pytest

from tests.unit.export.exported import container, flow_file, kubernetes


def test_an_executor_has_as_long_to_start_as_was_said(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path, timeout_ready_s=61))
    for name in ("flow-encoder", "flow-gateway"):
        probe = container(made, name)["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] == 65
    assert container(made)["startupProbe"]["httpGet"]["path"] == "/health/ready"
    assert container(made)["livenessProbe"]["httpGet"]["path"] == "/health/live"


@pytest.mark.parametrize(
    ("gateway", "ready", "live"),
    [
        ({"protocol": ["http", "grpc"]}, {"httpGet": 8080}, {"httpGet": 8080}),
        ({"protocol": ["websocket"], "port": 9000}, {"httpGet": 9000}, {"httpGet": 9000}),
        ({"protocol": ["grpc"]}, {"grpc": 8080}, {"tcpSocket": 8080}),
        ({"tls_cert": "c", "tls_key": "k"}, {"tcpSocket": 8080}, {"tcpSocket": 8080}),
        ({"protocol": ["http"], "tls_cert": "c", "tls_key": "k"}, {"httpGet": 8080}, {"httpGet": 8080}),
        (
            {"protocol": ["http"], "tls_cert": "c", "tls_key": "k", "tls_client_ca": "a"},
            {"tcpSocket": 8080},
            {"tcpSocket": 8080},
        ),
    ],
)
def test_a_gateway_is_asked_in_its_own_protocol(
    gateway: dict[str, Any], ready: dict[str, int], live: dict[str, int], tmp_path: Path
) -> None:
    found = container(kubernetes(flow_file(tmp_path, gateway=gateway)), "flow-gateway")
    for probe, asked in (("readinessProbe", ready), ("livenessProbe", live)):
        assert {kind: found[probe][kind]["port"] for kind in asked} == asked
        scheme = found[probe].get("httpGet", {}).get("scheme")
        assert scheme in (None, "HTTPS" if "tls_cert" in gateway else "HTTP")
