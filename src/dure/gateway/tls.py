"""TLS for the doors: the same certificates for HTTP, WebSocket, gRPC, the page of figures and BIB's server.

Knows nothing of what is said over it.
"""

import ssl
from pathlib import Path
from typing import Any

from dure.errors import SpecError, StartFailed
from dure.spec import GatewaySpec
from dure.transport.address import written


def context_of(spec: GatewaySpec) -> ssl.SSLContext | None:
    """Return what sockets are wrapped with; None without TLS.

    Raises:
        SpecError: A file that cannot be read, or is no certificate or key.
    """
    if spec.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(spec.tls_cert, spec.tls_key)
        if spec.tls_client_ca is not None:
            context.load_verify_locations(spec.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise SpecError(f"tls_cert, tls_key, tls_client_ca: {error}") from error
    return context


def add_grpc_port(server: Any, spec: GatewaySpec, port: int) -> int:
    """Have gRPC's server listen, over TLS where that is asked for; return the port.

    Raises:
        StartFailed: The address is taken, or not this machine's.
        SpecError: As `context_of`.
    """
    address = written(spec.host, port)
    try:
        tls = _grpc_credentials(spec)
        found: int = server.add_insecure_port(address) if tls is None else server.add_secure_port(address, tls)
    except RuntimeError as error:
        raise StartFailed(f"{address} cannot be listened on (is the port taken?): {error}") from error
    return found


def _grpc_credentials(spec: GatewaySpec) -> Any:
    if context_of(spec) is None:
        return None
    import grpc

    key, cert = Path(spec.tls_key or "").read_bytes(), Path(spec.tls_cert or "").read_bytes()
    roots = None if spec.tls_client_ca is None else Path(spec.tls_client_ca).read_bytes()
    return grpc.ssl_server_credentials([(key, cert)], roots, require_client_auth=roots is not None)
