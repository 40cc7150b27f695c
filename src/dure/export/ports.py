"""On which ports a gateway listens in its container, and under which it is reached from outside."""

from typing import NamedTuple

from dure.backends.image import PORT
from dure.errors import SpecError
from dure.spec import GatewaySpec

METRICS_PORT = 9090
"""Where the page for Prometheus is, if nobody said."""

_FIRST_UNPRIVILEGED = 1024
_MOVED_BY = 8000


class Door(NamedTuple):
    """One port: what is spoken there, its number in the container, and outside; 0 is a free one."""

    name: str
    inside: int
    outside: int


def doors_of(spec: GatewaySpec, *, apart: bool) -> list[Door]:
    """Return the gateway's public doors: `http`, which WebSocket shares, and `grpc`.

    Args:
        spec: The settings as they were written.
        apart: Whether gRPC and HTTP may not share a port.

    Raises:
        SpecError: They were given the same one and may not share it.
    """
    given = {"grpc" if name == "grpc" else "http": port for name, port in spec.ports.items()}
    if spec.shares_port and apart:
        raise SpecError(
            f"with.port: nginx before several gateways needs a port for gRPC and one for HTTP, not {given['grpc']}"
            " for both; say port: [8080, 8081] for protocol: [http, grpc]"
        )
    together = not apart and spec.tls_cert is None
    doors: dict[str, Door] = {}
    for name in sorted(given, key=lambda name: (not given[name], name != "http")):  # those that were given come first
        outside = given[name]
        other = next(iter(doors.values()), None)
        if other is not None and other.outside == outside and together:
            doors[name] = Door(name, other.inside, outside)
        else:
            doors[name] = Door(name, _inside(outside or PORT, {door.inside for door in doors.values()}), outside)
    return [doors[name] for name in given]


def metrics_door(port: int, doors: list[Door]) -> Door:
    """Return the port of the page that Prometheus reads."""
    return Door("metrics", _inside(port or METRICS_PORT, {door.inside for door in doors}), port)


def _inside(wanted: int, taken: set[int]) -> int:
    # Who is not root may not listen below, in every engine.
    port = wanted if wanted >= _FIRST_UNPRIVILEGED else wanted + _MOVED_BY
    while port in taken:
        port += 1
    return port
