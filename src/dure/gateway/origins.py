"""Under which names the Flow may be called, and from which web pages: no page reaches it that was not said.

A browser lets a page send requests to any address. By pointing a name of its own at this machine (DNS rebinding), a
page even reads the answers; but then the name stands in the header Host. Knows nothing of keys.
"""

import ipaddress

from dure.errors import Forbidden
from dure.spec import GatewaySpec, is_loopback

_MAX_KNOWN = 256


class Origins:
    """Hosts and origins that are let in.

    Args:
        spec: `allowed_hosts`, `cors_origins`, and the Flow's own addresses.
    """

    def __init__(self, spec: GatewaySpec) -> None:
        own = [spec.host, (spec.public_address or "").partition("://")[2] or spec.public_address or ""]
        names = [*spec.allowed_hosts, *own]
        self._names = {_name_of(name.encode()) for name in names if name and not name.startswith("*")}
        self._suffixes = tuple(name[1:].lower() for name in spec.allowed_hosts if name.startswith("*"))
        self._origins = {origin.rstrip("/").lower().encode() for origin in spec.cors_origins}
        self._known: set[bytes] = set()

    def check(self, headers: dict[bytes, bytes]) -> bytes | None:
        """Return the origin of the web page that asks, where it is another one that is allowed.

        Raises:
            Forbidden: The host or the origin is not allowed.
        """
        host = headers.get(b"host", b"")
        if host not in self._known:
            self._check_host(host)
        origin = headers.get(b"origin")
        if origin is None:
            return None
        word = origin.lower()
        if word in self._origins or b"*" in self._origins:
            return origin
        if word.partition(b"://")[2] == host.lower():
            return None  # a page of the Flow itself
        raise Forbidden(f"origin: web pages of {_shown(origin)} may not call this Flow (cors_origins)")

    def _check_host(self, host: bytes) -> None:
        name = _name_of(host)
        if name not in self._names and not (self._suffixes and name.endswith(self._suffixes)) and not _is_safe(name):
            raise Forbidden(f"host: this Flow is not called {_shown(host)}; names other than its own: allowed_hosts")
        if len(self._known) < _MAX_KNOWN:
            self._known.add(host)


def _name_of(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, _, port = text.rpartition(":")
    return name if name and ":" not in name and port.isdigit() else text


def _is_safe(name: str) -> bool:
    """Whether nobody can point that name here: it is an address, or this machine's own name for itself."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return is_loopback(name)
    return True


def _shown(text: bytes) -> str:
    return repr(text[:80].decode("latin-1"))
