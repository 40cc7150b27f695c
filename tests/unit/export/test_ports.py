from typing import Any

import pytest

from dure.errors import SpecError
from dure.export.ports import Door, doors_of, metrics_door
from dure.spec import GatewaySpec

TLS = {"tls_cert": "c", "tls_key": "k"}
ALL = ["http", "websocket", "grpc"]


@pytest.mark.parametrize(
    ("settings", "doors"),
    [
        ({}, [("grpc", 8080, 0)]),
        ({"protocol": ALL}, [("http", 8080, 0), ("grpc", 8080, 0)]),
        ({"protocol": ALL, **TLS}, [("http", 8080, 0), ("grpc", 8081, 0)]),
        ({"protocol": ALL, "port": [9000, 9000, 9000]}, [("http", 9000, 9000), ("grpc", 9000, 9000)]),
        ({"protocol": ALL, "port": 8080}, [("http", 8080, 8080), ("grpc", 8081, 0)]),
        ({"protocol": ["grpc", "http"], "port": [443, 80]}, [("grpc", 8443, 443), ("http", 8080, 80)]),
        ({"protocol": ["grpc", "http"], "port": [8080, 80]}, [("grpc", 8081, 8080), ("http", 8080, 80)]),
    ],
)
def test_doors(settings: dict[str, Any], doors: list[tuple[str, int, int]]) -> None:
    assert doors_of(GatewaySpec(**settings), apart=False) == doors


def test_doors_that_may_not_be_shared() -> None:
    assert doors_of(GatewaySpec(protocol=ALL), apart=True) == [("http", 8080, 0), ("grpc", 8081, 0)]
    with pytest.raises(SpecError, match="needs a port for gRPC and one for HTTP, not 9000 for both"):
        doors_of(GatewaySpec(protocol=ALL, port=[9000, 9000, 9000]), apart=True)


def test_the_page_for_prometheus_has_a_port_of_its_own() -> None:
    assert metrics_door(0, [Door("http", 9090, 9090)]) == ("metrics", 9091, 0)
    assert metrics_door(91, []) == ("metrics", 8091, 91)
