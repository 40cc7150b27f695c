"""What can be said about a Flow, and every default.

`Flow.add`, YAML and the command line all build these records; nothing else in dure holds a default for them.
Knows the shape of the settings, not what they do.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from dure.errors import SpecError

T = TypeVar("T", bound=Struct)

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
MAX_REQUEST_BYTES = 2**31 - 2**24  # gRPC counts to 2**31, and a message holds more than the documents
PROTOCOLS = ("grpc", "http", "websocket")
"""By which a Flow can be called from outside."""
BACKENDS = ("local", "ray")  # where the workers of a Flow can run

COSTS = ("rows", "bytes", "tokens")
"""What a document may cost, by name."""

COST_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How the name of a function that tells costs is written."""

MAX_PRIORITY = 100
"""Of a request; the least is as far below 0."""

_PREFIX = re.compile(r"(?:/[\w.~-]+)+")
_APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

GATEWAY = "gateway"
"""The name under which `needs` speaks of the Flow's own entrance."""


class BatchSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are merged into one call of an Executor's method.

    Nobody waits for a batch to fill unless `max_queue_delay_s` says so: a free replica takes what there is, and what
    comes while it is busy is the next batch.

    Raises:
        ValueError: Settings that contradict each other.
    """

    max_batch_size: Annotated[
        int, Meta(ge=1, description="most documents that requests are merged into for one call; 1 merges none")
    ] = 64
    max_queue_delay_s: Annotated[
        float, Meta(ge=0, description="seconds for which a request may wait for others while a replica is free")
    ] = 0.0
    cost: Annotated[
        str,
        Meta(description="what a document costs: rows, bytes, tokens (estimated), or module:function of documents"),
    ] = "rows"
    max_batch_cost: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="most that a batch may cost; a dearer request goes alone")
    ] = None
    max_padding: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        Meta(description="share of a batch that may be padding: requests of like cost are merged"),
    ] = None
    preferred_batch_sizes: Annotated[
        list[int], Meta(description="sizes at which a batch is closed when more is waiting")
    ] = []
    max_passed_over_s: Annotated[
        float, Meta(gt=0, description="seconds after which a request goes before those of higher priority")
    ] = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        largest = max(self.preferred_batch_sizes, default=0)
        if largest > self.max_batch_size:
            raise ValueError(f"preferred_batch_sizes: {largest} is more than max_batch_size={self.max_batch_size}")
        if min(self.preferred_batch_sizes, default=1) < 1:
            raise ValueError("preferred_batch_sizes: a size is a whole number from 1")
        if self.cost not in COSTS and not COST_FUNCTION.fullmatch(self.cost):
            raise ValueError(
                f"cost: {self.cost!r} is none of {', '.join(COSTS)}, nor the name of a function, 'module:function'"
            )
        if self.max_padding is not None and self.cost == "rows":
            raise ValueError("max_padding: by rows all documents are alike; set cost to tokens, bytes or a function")


class ExecutorSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Executor of a Flow: the arguments of `Flow.add`."""

    uses: Annotated[Any, Meta(description="class, name, .py file, config.yml, folder, docker://image, hub://Name")]
    name: Annotated[str, Meta(description="a Python identifier; executor0, executor1, … if not given")] = ""
    needs: Annotated[
        list[str] | None,
        Meta(description="names of the executors it takes its documents from (the one before, if not given)"),
    ] = None
    replicas: Annotated[int, Meta(ge=1, description="number of worker processes")] = 1
    max_replicas: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="grow to as many worker processes while requests wait long, and back; no more if not given"),
    ] = None
    group: Annotated[
        str | None,
        Meta(description="Executors of one group share a process, and hand documents on without copying"),
    ] = None
    concurrency: Annotated[
        int, Meta(ge=1, description="calls that a replica runs at a time, in threads, on one copy of its weights")
    ] = 1
    cpu_threads: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="cores that a call may use; all cores divided by all calls that may run, if not given"),
    ] = None
    uses_with: Annotated[dict[str, Any], Meta(description="arguments of the Executor's constructor")] = {}
    uses_requests: Annotated[dict[str, str], Meta(description="endpoint -> method, over what the class says")] = {}
    py_modules: Annotated[list[str], Meta(description="Python files imported before `uses` is resolved")] = []
    device: Annotated[
        str | list[str] | None,
        Meta(description="where it runs: cpu, gpu, gpu:1, auto, or a list its replicas take in turn"),
    ] = None
    device_memory: Annotated[
        int | float | str | None,
        Meta(description="device memory promised to each replica: 0.5 (a share), bytes, or '6GiB'"),
    ] = None
    env: Annotated[dict[str, str], Meta(description="environment variables of the workers")] = {}
    batching: Annotated[BatchSpec | None, Meta(description="how requests are merged, over what the class says")] = None
    cache_size: Annotated[
        int,
        Meta(ge=0, description="documents whose answers each replica keeps, for methods that answer like with like"),
    ] = 0
    max_queue_size: Annotated[
        int, Meta(ge=1, description="requests that may wait for this Executor; more are refused, to be sent later")
    ] = 8192
    max_call_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="seconds after which a worker that has not answered a call is ended and started again"),
    ] = None
    timeout_ready_s: Annotated[float, Meta(gt=0, description="seconds a worker may take to become ready")] = 600.0
    gpus: Annotated[Any, Meta(description="GPUs it may use: all, 2, '0,1', device=0,1, GPU-… ids; Ray: 0.5")] = None
    volumes: Annotated[list[str], Meta(description="in its container: HOST:CONTAINER[:ro], or NAME:CONTAINER")] = []
    cache: Annotated[bool, Meta(description="in its container: the host's caches of model libraries")] = False
    user: Annotated[str | None, Meta(description="of its container: uid[:gid]; never root unsaid")] = None
    max_memory: Annotated[int | str | None, Meta(description="of its container or actor: bytes, or '6GiB'")] = None
    max_cpus: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="of its container or actor: 1.5")] = None
    max_processes: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="of its container")] = None
    network: Annotated[str | None, Meta(description="of its container: the name of one of the engine's")] = None
    docker_kwargs: Annotated[dict[str, Any], Meta(description="of its container: for Docker's SDK, shm_size=1g")] = {}
    ray_options: Annotated[dict[str, Any], Meta(description="of its Ray actor, and placement_group=SPREAD")] = {}


class GatewaySpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Flow's entrance.

    Raises:
        ValueError: Ports that do not fit the protocols.
    """

    protocol: Annotated[list[str], Meta(min_length=1, description="public protocols: grpc, http, websocket")] = (
        msgspec.field(default_factory=lambda: ["grpc"])
    )
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[
        Port | list[Port],
        Meta(description="port to listen on, 0 takes a free one; several are those of the protocols, in their order"),
    ] = 0
    reuse_port: Annotated[
        bool, Meta(description="share the port with other Flows that say so: the kernel spreads connections over them")
    ] = False
    max_connection_age_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="after how long clients are told to connect again, give or take a tenth; never if not given"),
    ] = None
    metrics_port: Annotated[
        Port | None,
        Meta(description="port of a page that Prometheus reads; 0 takes a free one; no page if not given"),
    ] = None
    admin_port: Annotated[
        Port | None,
        Meta(
            description="HTTP port on 127.0.0.1 for the page, live figures and loading of models, which the public ones"
            " then refuse; 0 takes a free one; no such port if not given"
        ),
    ] = None
    traces_address: Annotated[
        str | None, Meta(description="collector that OpenTelemetry's spans are sent to, e.g. http://127.0.0.1:4318")
    ] = None
    traces_share: Annotated[
        float, Meta(ge=0, le=1, description="share of the requests that is traced where the client did not decide it")
    ] = 1.0
    page: Annotated[bool, Meta(description="show a page at / over HTTP, where the Flow can be looked at and tried")] = (
        True
    )
    apps: Annotated[
        dict[str, str],
        Meta(description="ASGI apps of your own beside the Flow, over HTTP: prefix -> module:attribute"),
    ] = {}
    public_address: Annotated[
        str | None, Meta(description="address to print as the public one; dure never looks it up")
    ] = None
    max_request_bytes: Annotated[int, Meta(gt=0, le=MAX_REQUEST_BYTES, description="largest request")] = 64 * 2**20
    max_queued_bytes: Annotated[
        int, Meta(gt=0, description="bytes one client may have waiting before the gateway stops reading from it")
    ] = 64 * 2**20
    max_queued: Annotated[
        int, Meta(ge=1, description="requests one client may have waiting before the gateway stops reading from it")
    ] = 256
    keys_file: Annotated[
        str | None,
        Meta(description="API keys, made by `dure keys add`; whoever has none is refused; none if not given"),
    ] = None
    insecure: Annotated[
        bool, Meta(description="listen beyond this machine without keys_file: whoever reaches the port is served")
    ] = False
    allowed_hosts: Annotated[
        list[str],
        Meta(description="names under which the Flow may be called over HTTP, beside addresses and localhost"),
    ] = []
    cors_origins: Annotated[
        list[str], Meta(description="origins whose web pages may call it, e.g. https://shop.example; * is all of them")
    ] = []
    trusted_proxies: Annotated[
        list[str], Meta(description="addresses of proxies whose X-Forwarded-For header is believed")
    ] = []
    max_requests_per_s_per_address: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="requests a second from one address; no limit if not given"),
    ] = None
    max_rows_per_s_per_address: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="documents a second from one address")
    ] = None
    max_bytes_per_s_per_address: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="bytes a second from one address")
    ] = None
    max_tokens_per_s_per_address: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="tokens of texts a second from one address, estimated from their bytes"),
    ] = None
    max_concurrent_per_address: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="requests under way from one address")
    ] = None
    tls_cert: Annotated[str | None, Meta(description="certificate chain, a PEM file: the doors speak TLS")] = None
    tls_key: Annotated[str | None, Meta(description="its private key, a PEM file")] = None
    tls_client_ca: Annotated[
        str | None, Meta(description="PEM file of who signs clients' certificates: without one nobody is let in")
    ] = None
    audit_file: Annotated[
        str | None, Meta(description="a line of JSON for each request: who, what, what became of it; no contents")
    ] = None

    def __post_init__(self) -> None:
        names = self.protocol
        for name in names:
            if name not in PROTOCOLS:
                raise ValueError(
                    f"protocol {name!r} is unknown.{suggest(name, PROTOCOLS)} Known are: {', '.join(PROTOCOLS)}"
                )
        if len(set(names)) < len(names):
            raise ValueError(f"protocol names one twice: {', '.join(names)}")
        if len(self._given) > len(names):
            raise ValueError(f"port has {len(self._given)} numbers for {len(names)} protocols ({', '.join(names)})")
        web = {port for name, port in zip(names, self._given, strict=False) if name != "grpc" and port}
        if len(web) > 1:
            raise ValueError(f"port: http and websocket share one, they cannot have {min(web)} and {max(web)}")
        if self.shares_port and self.tls_cert is not None:
            raise ValueError(f"port: with TLS, grpc cannot share {min(web)} with another protocol")
        if self.reuse_port and 0 in self.ports.values():
            raise ValueError("reuse_port: say which port is shared, e.g. port=8080; a free one is nobody else's")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key: give both, or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca: clients show certificates over TLS only; give tls_cert and tls_key")
        self._check_apps()

    def _check_apps(self) -> None:
        for prefix, name in self.apps.items():
            if not _PREFIX.fullmatch(prefix):
                raise ValueError(f"apps: {prefix!r} is no prefix; write it like '/shop', without a slash at its end")
            if not _APP.fullmatch(name):
                raise ValueError(f"apps: {name!r} names no app; write it like 'module:attribute'")
        if self.apps and self.protocol == ["grpc"]:
            raise ValueError("apps: they are asked over HTTP; say protocol=['grpc', 'http']")

    def check_exposure(self) -> None:
        """Refuse to listen beyond this machine for everybody, unless that was said in so many words.

        Raises:
            SpecError: Whoever reaches the port would be served.
        """
        if self.keys_file is None and not self.insecure and not is_loopback(self.host):
            raise SpecError(
                f"host: {self.host} can be reached from other machines, and without keys everybody there would be"
                " served. Make keys (dure keys add --file keys.json) and give keys_file='keys.json'; or, where"
                " something else stands before it, say insecure=True (--insecure)"
            )

    @property
    def _given(self) -> list[int]:
        return self.port if isinstance(self.port, list) else [self.port]

    @property
    def shares_port(self) -> bool:
        """Whether gRPC and HTTP are to answer on one port, because it was given for both."""
        return any(port and name != "grpc" and port == self.ports.get("grpc") for name, port in self.ports.items())

    @property
    def ports(self) -> dict[str, int]:
        """The port of each protocol, 0 for a free one. HTTP and WebSocket share one."""
        ports: dict[str, int] = dict(zip(self.protocol, [*self._given, *[0] * len(self.protocol)], strict=False))
        shared = max((port for name, port in ports.items() if name != "grpc"), default=0)
        return {name: port if name == "grpc" else shared for name, port in ports.items()}


class FlowSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole Flow."""

    name: Annotated[str, Meta(description="shown in logs")] = "Flow"
    gateway: GatewaySpec = GatewaySpec()
    executors: list[ExecutorSpec] = []
    env: Annotated[dict[str, str], Meta(description="environment variables of every worker")] = {}


class ClientSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client sends."""

    request_size: Annotated[int, Meta(ge=1, description="documents per request")] = 100
    max_in_flight_bytes: Annotated[
        int, Meta(gt=0, description="bytes sent and not yet answered, after which the client waits")
    ] = 16 * 2**20
    max_in_flight: Annotated[int, Meta(ge=1, description="requests sent and not yet answered")] = 64
    key: Annotated[
        str | None, Meta(description="API key, over gRPC; the own channel of a Flow on this machine needs none")
    ] = None
    tls: Annotated[bool, Meta(description="speak TLS over gRPC; the machine's own list says whom to trust")] = False
    tls_ca: Annotated[
        str | None, Meta(description="PEM file of who signed the Flow's certificate, in place of that list")
    ] = None
    tls_cert: Annotated[str | None, Meta(description="the client's own certificate chain, a PEM file")] = None
    tls_key: Annotated[str | None, Meta(description="its private key, a PEM file")] = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key: give both, or neither")

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls or self.tls_ca is not None or self.tls_cert is not None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest of `known`, or nothing."""
    near = difflib.get_close_matches(str(word), [str(k) for k in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def build(kind: type[T], values: dict[str, Any], path: str) -> T:
    """Make a spec record out of plain values, checked.

    Args:
        kind: One of the records of this module.
        values: Field name -> value, as written by a person.
        path: Where these values stand, for messages, e.g. `executors[1]`.

    Raises:
        SpecError: Unknown field (with the nearest known one), wrong type or out of range.
    """
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in values:
        if key not in known:
            raise SpecError(
                f"{path}.{key}: unknown setting {key!r}.{suggest(key, known)} Known are: {', '.join(known)}."
            )
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        where = f"{path}{at.rstrip('`')}"
        name = at.lstrip(".").partition("[")[0].partition(".")[0].rstrip("`")
        given = f" Given was {values[name]!r}." if name in values else ""
        raise SpecError(f"{where}: {text}.{given}") from error


def describe(kind: type[Struct]) -> dict[str, str]:
    """Return field name -> help text, for the command line and the documentation."""
    hints = kind.__annotations__
    return {
        name: next((m.description or "" for m in get_args(hint)[1:] if isinstance(m, Meta)), "")
        for name, hint in hints.items()
    }
