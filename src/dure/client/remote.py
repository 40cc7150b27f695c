"""Where a Flow listens, and over which channel a client speaks to it.

Opens nothing; the clients do.
"""

from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import msgspec

from dure.client.sink import Options
from dure.errors import ConnectionLost, SpecError
from dure.spec import ClientSpec, build
from dure.transport.address import find_native

Protocol: TypeAlias = Literal["native", "grpc"]


class Remote:
    """What `Client` and `AsyncClient` share; their docstrings describe the arguments."""

    def __init__(
        self, host: str = "127.0.0.1", port: int | str | None = None, *, protocol: Protocol | None = None, **limits: Any
    ) -> None:
        if "://" in host:
            scheme, _, host = host.partition("://")
            protocol = protocol or _protocol(scheme)
        if port is None:
            host, _, text = host.rpartition(":")
            port = text
        if not str(port).isdecimal():
            raise SpecError("Client.port: say which port the Flow listens on, e.g. Client(port=12345)")
        self.host = host.strip("[]")  # around an IPv6 address
        self.port = int(port)
        self._protocol = None if protocol is None else _protocol(protocol)
        self._path: Path | None = None
        self.spec = build(ClientSpec, limits, "Client")

    def limits(self, options: Options) -> ClientSpec:
        """Return the limits of one `post`."""
        if options.request_size is None:
            return self.spec
        return build(ClientSpec, {**msgspec.structs.asdict(self.spec), "request_size": options.request_size}, "post")

    def through(self, path: Path) -> Self:
        """Use this own channel of a Flow, whatever listens at the address."""
        self._path = path
        return self

    def native_path(self) -> Path | None:
        """Return the Flow's own channel if it is to be used.

        Raises:
            ConnectionLost: It must be used, and is not there.
        """
        if self._protocol == "grpc":
            return None
        path = self._path or find_native(self.host, self.port)
        if path is None and self._protocol == "native":
            raise ConnectionLost(f"no Flow of this user listens at {self.host}:{self.port} on this machine")
        return path


def _protocol(name: str) -> Protocol:
    if name not in ("native", "grpc"):
        raise SpecError(f"Client.protocol: must be 'native' or 'grpc', not {name!r}")
    return name  # type: ignore[return-value]  # checked against its two values
