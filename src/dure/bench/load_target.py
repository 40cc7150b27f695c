"""What a service's address says: which protocol it speaks, where it is, and whether that is this machine.

Opens no connection.
"""

import socket
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from dure.errors import SpecError

Kind = Literal["flow", "oip", "http"]

FORMS = (
    "a Flow as HOST:PORT, grpc://HOST:PORT or native://HOST:PORT; a model of the Open Inference Protocol as"
    " oip+http://HOST:PORT/MODEL; anything that takes JSON as http://HOST:PORT/PATH"
)
_KINDS: dict[str, Kind] = {
    "": "flow",
    "grpc": "flow",
    "native": "flow",
    "oip+http": "oip",
    "oip+https": "oip",
    "http": "http",
    "https": "http",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A service.

    Args:
        kind: `flow`, `oip` or `http`.
        address: As it was given.
        host: Where it is.
    """

    kind: Kind
    address: str
    host: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, and so shares its cores with the load generator.

        Raises:
            SpecError: There is no such host.
        """
        try:
            found = socket.getaddrinfo(self.host, 0, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise SpecError(
                f"target: {self.host!r} in {self.address!r} is no host that is known here: {error}"
            ) from error
        return any(_is_own(family, address) for family, _, _, _, address in found)


def parse(text: str) -> Target:
    """Read an address.

    Raises:
        SpecError: It has none of the forms that are understood, which are then listed.
    """
    scheme, found, rest = text.rpartition("://")
    if scheme not in _KINDS or (found and not scheme):
        raise SpecError(f"target: {text!r} begins with {scheme!r}, which is not understood. Write {FORMS}.")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SpecError(f"target: {text!r}: {error}. Write {FORMS}.") from error
    kind = _KINDS[scheme]
    if not host or (kind == "flow" and port is None):
        raise SpecError(f"target: {text!r} does not say which host and port. Write {FORMS}.")
    if kind == "flow" and parts.path.strip("/"):
        raise SpecError(f"target: {text!r}: a Flow's endpoint is not part of its address; give --endpoint {parts.path}")
    if kind == "oip" and not parts.path.strip("/"):
        raise SpecError(f"target: {text!r} does not say which model. Write {FORMS}.")
    return Target(kind, text, host)


def _is_own(family: int, address: tuple[object, ...]) -> bool:
    # Nobody can bind an address that is another machine's.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
    return True
