"""`Flow`: Executors composed into a service; the place where settings, processes and a client come together.

Each method that changes a Flow returns another one; the settings themselves are in `dure.spec`.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import msgspec

from dure.backends.supervisor import Supervisor
from dure.client.client import Client
from dure.client.inputs import Inputs
from dure.client.results import Results
from dure.client.sink import PostOptions
from dure.errors import BackendError, SpecError
from dure.executor.base import Executor
from dure.flow.backend import LOCAL, Backend, Local, backend_of
from dure.flow.relay import Relay, behind
from dure.flow.source import fetched, search_path
from dure.flow.unit import units_of
from dure.flow.yaml_io import assemble, flow_of, normalised, yaml_of
from dure.gateway.assignment import Assignment as GatewayAssignment
from dure.log import get_logger
from dure.spec import GATEWAY, ExecutorSpec, FlowSpec, build, suggest
from dure.transport.address import native_path
from dure.worker.metrics import ReplicaMetrics

_FIXED = ("name", "needs", "replicas", "max_replicas", "max_queue_size", "max_call_s", "group")
"""Settings of an Executor that the gateway goes by."""


class Flow:
    """A service made of Executors.

    Example:
        >>> flow = Flow(port=12345).add(uses=Executor, name="encoder", replicas=2)
        >>> print(flow.save_config())
        jtype: Flow
        with:
          port: 12345
        executors:
        - uses: dure.executor.base.Executor
          name: encoder
          needs:
          - gateway
          replicas: 2
        <BLANKLINE>

    Args:
        protocol: Public protocol or protocols.
        port: Port to listen on; a free one if not given.
        host: Address to listen on.
        **settings: Other fields of `dure.spec.GatewaySpec` and `dure.spec.FlowSpec`.

    Raises:
        SpecError: Unknown setting or wrong value.
    """

    def __init__(self, **settings: Any) -> None:
        self._spec = assemble(settings, [], "Flow")
        self._supervisor: Supervisor | None = None
        self._client: Client | None = None
        self._backend: Backend = Local()

    # -- composing ------------------------------------------------------------------------------------------------

    def add(self, *, uses: Any = Executor, name: str = "", **settings: Any) -> "Flow":
        """Return this Flow with one more Executor.

        Args:
            uses: Class, dotted name, `.py` file, `config.yml`, bundle folder, `docker://image`, `hub://Name`, or
                `hub+docker://Name/tag`.
            name: A Python identifier; `executor0`, `executor1`, … if not given.
            **settings: Other fields of `dure.spec.ExecutorSpec`: `needs`, `replicas`, `max_replicas`, `concurrency`,
                `cpu_threads`, `group`, `uses_with`, `uses_requests`, `py_modules`, `device`, `device_memory`, `env`,
                `batching`, `cache_size`, `max_queue_size`, `max_call_s`, `timeout_ready_s`, `gpus`; of a container
                `volumes`, `cache`, `user`, `max_processes`, `network`, `docker_kwargs`; of a Ray actor `ray_options`;
                of both `max_memory`, `max_cpus`.

        Raises:
            SpecError: Unknown setting, wrong value, a name that is taken, a need that does not exist.
        """
        executors = self._spec.executors
        path = f"executors[{len(executors)}]"
        fields = normalised({"uses": uses, "name": name or f"executor{len(executors)}", **settings})
        fields.setdefault("needs", [executors[-1].name] if executors else [GATEWAY])
        return self._with([*executors, build(ExecutorSpec, fields, path)])

    def needs_all(self, *, name: str = "joiner", **settings: Any) -> "Flow":
        """Return this Flow with an Executor that takes what every branch ends in, joined by document id."""
        needed = {source for spec in self._spec.executors for source in spec.needs or ()}
        ends = [spec.name for spec in self._spec.executors if spec.name not in needed]
        return self.add(name=name, needs=ends or [GATEWAY], **settings)

    def _with(self, executors: list[ExecutorSpec]) -> "Flow":
        flow = type(self).__new__(type(self))
        flow._spec = msgspec.structs.replace(self._spec, executors=executors)
        flow._supervisor = flow._client = None
        flow._backend = Local()
        units_of(executors)
        return flow

    @classmethod
    def load_config(cls, source: str | Path) -> "Flow":
        """Read a Flow from a YAML file or YAML text.

        Raises:
            SpecError: Broken YAML (file, line, column) or a wrong setting (its path).
        """
        spec = flow_of(source)
        flow = cls()
        executors: list[ExecutorSpec] = []
        for i, one in enumerate(spec.executors):
            needs = one.needs
            if needs is None:
                needs = [executors[-1].name] if executors else [GATEWAY]
            executors.append(msgspec.structs.replace(one, name=one.name or f"executor{i}", needs=needs))
        flow._spec = msgspec.structs.replace(spec, executors=executors)
        units_of(executors)
        return flow

    def save_config(self, path: str | Path | None = None) -> str:
        """Return this Flow as YAML, and write it to `path` if one is given."""
        text = yaml_of(self._spec)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @property
    def spec(self) -> FlowSpec:
        """The settings."""
        return self._spec

    def __eq__(self, other: object) -> bool:
        return self._spec == other._spec if isinstance(other, Flow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it is compared by its settings, which hold dicts

    def __repr__(self) -> str:
        return f"<Flow {' '.join(spec.name for spec in self._spec.executors) or 'without Executors'}>"

    # -- running --------------------------------------------------------------------------------------------------

    def start(
        self,
        backend: str = LOCAL,
        *,
        address: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        wait_for_resources: bool = False,
    ) -> Self:
        """Start the gateway and all workers; return when every one is ready.

        Args:
            backend: Where the workers run: `local`, or `ray`, each in an actor of a Ray cluster. The gateway runs here.
            address: The cluster's: `auto` if not given, `host:port`, or `ray://host:port`.
            runtime_env: What Ray is to bring to its nodes, in Ray's own words, e.g. `{"working_dir": "."}`.
            wait_for_resources: Wait, up to `timeout_ready_s`, where the cluster has no room now.

        Raises:
            StartFailed: A process did not become ready; `__cause__` is its own exception. Or no cluster is there.
            SpecError: It would serve everybody beyond this machine, and `insecure` was not said; or the cluster has no
                room.
            DureError: What a worker says is wrong with its settings (SpecError, DeviceNotFound, …).
        """
        if self._supervisor is not None:
            raise BackendError("this Flow runs already")
        self._spec.gateway.check_exposure()
        self._backend = backend_of(backend, address, runtime_env, wait_for_resources=wait_for_resources)
        try:
            self._supervisor = self._supervised()
        except BaseException:
            self._backend.close()
            raise
        self._client = Client(self.host, self.port)
        if self._spec.gateway.reuse_port:
            self._client.through(native_path(self.host, self.port, self._supervisor.pids()["gateway"]))
        self._announce()
        return self

    def _supervised(self) -> Supervisor:
        spec = self._spec
        units = units_of([fetched(executor) for executor in spec.executors])
        workers = self._backend.workers(spec, units)
        counts = {unit.spec.name: unit.spec.replicas for unit in units}
        nodes = {unit.spec.name: unit.node() for unit in units}
        timeout_s = max((e.timeout_ready_s for e in spec.executors), default=ExecutorSpec(uses="").timeout_ready_s)
        gateway = GatewayAssignment(sys_path=search_path(), nodes=nodes, spec=spec.gateway)
        supervisor = Supervisor(gateway, workers, counts, timeout_s)
        supervisor.start()
        return supervisor

    def swap(self, name: str, **settings: Any) -> None:
        """Change an Executor while the Flow runs, for example its code or weights; no request is lost.

        New workers are started with the changed settings beside the old ones, for which there must be room. When all of
        them are ready they take over, and the old ones finish what they have begun. If one does not become ready, the
        old ones stay and nothing has changed.

        Args:
            name: The Executor's name.
            **settings: Those of `add` that change, e.g. `uses`, `uses_with`, `env`, `batching`. Not `name`, `needs`
                and what the gateway goes by (`replicas`, `max_replicas`, `max_queue_size`, `max_call_s`).

        Raises:
            SpecError: No such Executor, or a setting that is wrong or cannot change.
            StartFailed: A new worker did not become ready; `__cause__` is its own exception.
            BackendError: The Flow does not run.
        """
        self._running()
        changed = self._swapped(name, settings)
        executors = [changed if e.name == name else e for e in self._spec.executors]
        spec = msgspec.structs.replace(self._spec, executors=executors)
        ready = [fetched(e) if e is changed else e for e in executors]
        unit = next(u for u in units_of(ready) if name in [member.name for member in u.members])
        supervisor, swapped = self._supervisor, False
        try:
            workers = self._backend.workers(spec, [unit])
            if supervisor is not None:
                supervisor.swap(unit.spec.name, workers, changed.timeout_ready_s)
            swapped = True
        finally:
            self._backend.settle(unit.spec.name, swapped=swapped)
        self._spec = spec

    def _swapped(self, name: str, settings: dict[str, Any]) -> ExecutorSpec:
        fixed = [key for key in settings if key in _FIXED]
        if fixed:
            raise SpecError(f"swap.{fixed[0]}: cannot change while the Flow runs; start it anew")
        known = {executor.name: executor for executor in self._spec.executors}
        if name not in known:
            raise SpecError(
                f"swap: {name!r} is no Executor of this Flow.{suggest(name, known)} There are: {', '.join(known)}."
            )
        before = msgspec.structs.asdict(known[name])
        return build(ExecutorSpec, {**before, **normalised(settings)}, "swap")

    def plan(self, backend: str = LOCAL, *, address: str | None = None) -> Any:
        """Return who runs where and why, as a table when it is printed; starts nothing.

        Args:
            backend: As for `start`.
            address: As for `start`.

        Raises:
            DeviceNotFound: A device that is not on this machine.
            DeviceOutOfMemory: Promised memory does not fit.
            StartFailed: No cluster is there.
        """
        place = backend_of(backend, address, None, wait_for_resources=False)
        with contextlib.closing(place):
            return place.plan(self._spec)

    def asgi(self) -> Relay:
        """Return an ASGI application to mount in one of yours; with its lifespan the Flow starts and ends.

        Raises:
            SpecError: The Flow is not called over HTTP, or listens beyond this machine, or speaks TLS itself.
        """
        flow = self._with(self._spec.executors)
        flow._spec = msgspec.structs.replace(self._spec, gateway=behind(self._spec.gateway))
        return Relay(flow)

    def close(self) -> None:
        """Stop: answer what is on its way, close the Executors, end all processes."""
        client, supervisor = self._client, self._supervisor
        self._client = self._supervisor = None
        if client is not None:
            client.close()
        try:
            if supervisor is not None:
                supervisor.stop()
        except BaseException:
            if supervisor is not None:
                supervisor.stop(at_once=True)
            raise
        finally:
            self._backend.close()

    def block(self) -> None:
        """Wait until Ctrl-C or SIGTERM; then return."""
        self._running()
        stop = threading.Event()
        previous = _on_sigterm(stop)
        try:
            stop.wait()
        except KeyboardInterrupt:
            pass
        finally:
            previous()

    def __enter__(self) -> Self:
        return self if self._supervisor is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """Address the Flow listens on."""
        return self._spec.gateway.host

    @property
    def port(self) -> int:
        """Port the Flow listens on, of several protocols that of the first; once it runs the one the system gave it."""
        return next(iter(self.ports.values()))

    @property
    def ports(self) -> dict[str, int]:
        """The port of each protocol, as `port`; once it runs also that of `admin`, if there is one."""
        return self._supervisor.ports if self._supervisor is not None else self._spec.gateway.ports

    @property
    def metrics_port(self) -> int | None:
        """Port of the page that Prometheus reads; the one given by the system once the Flow runs. None: no page."""
        asked = self._spec.gateway.metrics_port
        return self._supervisor.metrics_port if self._supervisor is not None and asked is not None else asked

    @property
    def protocol(self) -> str:
        """Its public protocols, as shown in the banner."""
        return ", ".join(name.upper() for name in self._spec.gateway.protocol)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the gateway and of every worker, by name."""
        self._running()
        return {} if self._supervisor is None else self._supervisor.pids()

    def metrics(self) -> dict[str, ReplicaMetrics]:
        """Return what every replica has done since its process started, by the names that `pids` has.

        A replica answers while it computes, too. One whose process is being started again is left out.

        Raises:
            BackendError: The Flow does not run, or a replica does not answer.
        """
        self._running()
        return {} if self._supervisor is None else self._supervisor.metrics()

    def _running(self) -> Client:
        if self._client is None:
            raise BackendError("this Flow does not run; use `with flow:` or flow.start()")
        return self._client

    def _announce(self) -> None:
        gateway, port = self._spec.gateway, self.port
        lines = [
            "🎉 Flow is ready to use!",
            f"\t🔗 Protocol: \t\t{self.protocol}",
            f"\t🏠 Local access:\t{gateway.host}:{port}",
        ]
        if gateway.host not in ("127.0.0.1", "localhost", "::1"):
            lines.append(f"\t🔒 Private network:\t{_private_address(gateway.host)}:{port}")
        if gateway.metrics_port is not None:
            lines.append(f"\t📊 Metrics:\t\thttp://{gateway.host}:{self.metrics_port}/metrics")
        if gateway.admin_port is not None:
            lines.append(f"\t🔧 Admin:\t\thttp://127.0.0.1:{self.ports['admin']}")
        if gateway.public_address is not None:
            lines.append(f"\t🌐 Public address:\t{gateway.public_address}:{port}")
        get_logger(self._spec.name).info("%s", "\n".join(lines))

    # -- sending --------------------------------------------------------------------------------------------------

    def post(self, on: str, inputs: Inputs = None, **options: Unpack[PostOptions]) -> Results:
        """Send documents to an endpoint and return what came back; see `Client.post`."""
        return self._running().post(on, inputs, **options)

    def stream(self, on: str, inputs: Inputs = None, **options: Unpack[PostOptions]) -> Iterator[Results]:
        """Send documents and yield what comes back as it comes; see `Client.stream`."""
        return self._running().stream(on, inputs, **options)


def _private_address(host: str) -> str:
    if host not in ("0.0.0.0", "::"):
        return host
    # The address of the interface a packet to that network would leave by. A UDP socket that is
    # connected sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _on_sigterm(stop: threading.Event) -> Any:
    import signal

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return lambda: signal.signal(signal.SIGTERM, before)
