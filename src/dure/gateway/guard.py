"""The guard at every public door: who is let in, before anything else is looked at. Whoever is not allowed is refused.

The same for HTTP, WebSocket and gRPC. Knows keys and limits; what a route asks for, `rules.py` says.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from dure.errors import DureError, Forbidden
from dure.gateway.audit import Audit, Entry
from dure.gateway.keys import Key, KeyRing, Scope
from dure.gateway.limits import Limits, Meter
from dure.gateway.visit import Arrival, Visit
from dure.spec import GatewaySpec, is_loopback

_MAX_ADDRESSES = 10_000


class Guard:
    """Lets clients in, or not.

    Args:
        spec: The gateway's settings.
        audit: Where requests are written down.
        clock: Tells the moment, in seconds.

    Attributes:
        refused: How many were not let in, by an error's code.

    Raises:
        SpecError: The keys cannot be read, or it would serve everybody and that was not said.
    """

    def __init__(self, spec: GatewaySpec, audit: Audit | None = None, clock: Callable[[], float] = monotonic) -> None:
        spec.check_exposure()
        self._keys = None if spec.keys_file is None else KeyRing(Path(spec.keys_file), clock)
        self._of_address = Limits(
            max_requests_per_s=spec.max_requests_per_s_per_address,
            max_rows_per_s=spec.max_rows_per_s_per_address,
            max_bytes_per_s=spec.max_bytes_per_s_per_address,
            max_tokens_per_s=spec.max_tokens_per_s_per_address,
            max_concurrent=spec.max_concurrent_per_address,
        )
        self._only_inside = () if spec.admin_port is None else (Scope.ADMIN, Scope.METRICS)
        self._limits_addresses = self._of_address.is_any
        self._audit = audit
        self._clock = clock
        self._addresses: dict[str, Meter] = {}
        self._clients: dict[str, tuple[Limits, Meter | None]] = {}
        self.refused: Counter[str] = Counter()

    def admit(self, need: Scope | None, arrival: Arrival) -> Visit:
        """Let somebody in; `release` the visit when it is over.

        Args:
            need: What the route asks for; None is open to everybody.
            arrival: Who it is.

        Raises:
            Unauthenticated: No key, or none that is good.
            Forbidden: The key lacks the scope.
            RateLimited: The client or its address has had its share.
        """
        if need is None:
            return Visit(arrival, None, [], None)
        try:
            return self._admit(need, arrival)
        except DureError as error:
            self.refuse(arrival, error)
            raise

    def refuse(self, arrival: Arrival, error: DureError) -> None:
        """Count and write down that somebody was not let in."""
        self.refused[error.code] += 1
        if self._audit is not None:
            entry = Entry(
                key=_told_id(arrival.key),
                address=arrival.address,
                protocol=arrival.protocol,
                endpoint=arrival.what,
                rows=0,
                outcome=error.code,
                seconds=0.0,
            )
            self._audit.write(entry)

    def close(self) -> None:
        """Write what is left to be written down."""
        if self._audit is not None:
            self._audit.close()

    def _admit(self, need: Scope, arrival: Arrival) -> Visit:
        if need in self._only_inside and not arrival.inside:
            raise Forbidden("this is answered on this machine's admin_port only")
        meters = [self._address_meter(arrival.address)] if self._limits_addresses else []
        key = None
        if self._keys is not None:
            try:
                key = self._keys.find(arrival.key)
                if need not in key.scopes:
                    raise Forbidden(f"the API key {key.id} is not good for this; it takes the scope {need!r}")
            except DureError:
                if meters:  # whoever tries out keys is slowed down as well
                    Visit(arrival, None, meters, None).release()
                raise
            meter = self._client_meter(key)
            if meter is not None:
                meters.append(meter)
        elif need is Scope.ADMIN and not is_loopback(arrival.address):
            raise Forbidden("without keys (keys_file) this is allowed from this machine only")
        return Visit(arrival, key, meters, self._audit)

    def _client_meter(self, key: Key) -> Meter | None:
        limits, meter = self._clients.get(key.id, (None, None))
        if limits is not key.limits:  # a new client, or the file was read again
            if limits != key.limits:
                meter = Meter(f"the API key {key.id}", key.limits, self._clock()) if key.limits.is_any else None
            self._clients[key.id] = (key.limits, meter)
        return meter

    def _address_meter(self, address: str) -> Meter:
        who = _place(address)
        meter = self._addresses.get(who)
        if meter is None:
            now = self._clock()
            if len(self._addresses) >= _MAX_ADDRESSES:
                self._addresses = {name: one for name, one in self._addresses.items() if not one.is_idle(now)}
            meter = self._addresses[who] = Meter(f"the address {who}", self._of_address, now)
        return meter


def _place(address: str) -> str:
    """Return the address, of version 6 its /64: one household has as many of them as it likes."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False).network_address)


def _told_id(key: bytes | None) -> str:
    """Return the part of a key that may be told, if it looks like one."""
    name = (key or b"").split(b"_")[1:2]
    return name[0][:16].decode("ascii", errors="replace") if name and name[0].isalnum() else ""
