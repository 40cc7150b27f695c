"""A connection to a Ray cluster: made within seconds or refused in words, shared by the Flows of this process.

Also what its nodes have. Knows nothing of workers; who runs what there is `ray_actor.py`.
"""

import contextlib
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from dure.deps import require
from dure.device.cores import usable_cores
from dure.errors import SpecError, StartFailed
from dure.log import get_logger

AUTO = "auto"
OWN = "local"
"""A cluster of this machine, that is there for as long as the connection."""
CLIENT = "ray://"
"""How the address of Ray's client server begins."""
_PROBE_S = 3.0
_CALL_S = 10.0
_OWN_STORE_BYTES = 2**27
_OWN_ADDRESS = "127.0.0.2"  # Ray takes 127.0.0.1 for the address of this machine's network, and listens there
_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_CLIENT_PING = "/ray.rpc.RayletDriver/ClusterInfo"
_AUTH = "RAY_AUTH_MODE"  # which Ray reads once in a process, so that nobody else can say it later


class Node(Struct, frozen=True, kw_only=True):
    """One machine of a cluster: its address, what Ray may give away there, and how much of that nobody has now."""

    address: str
    total: dict[str, float]
    free: dict[str, float]


class _Shared:
    """Ray's connection belongs to the process; who asked for it last lets go of it."""

    lock = threading.Lock()
    users = 0
    ours = False
    runtime_env: dict[str, Any] | None = None


class Cluster:
    """A cluster this process is connected to.

    Attributes:
        ray: Ray's module.
        address: The cluster's own.
    """

    def __init__(self, ray: Any, address: str) -> None:
        self.ray, self.address = ray, address
        self._closed = False

    @classmethod
    def connect(
        cls, address: str, runtime_env: dict[str, Any] | None = None, *, shows_output: bool = False
    ) -> "Cluster":
        """Connect, or use the connection that this process has.

        Args:
            address: `auto`, `host:port`, `ray://host:port`, or `local` for one of this machine that is started.
            runtime_env: What Ray is to bring to its nodes, in Ray's own words.
            shows_output: Whether Ray writes here what its actors write.

        Raises:
            MissingDependency: Ray is not installed.
            StartFailed: No cluster answers there, or one of other versions.
            SpecError: No such address; a runtime_env that Ray does not take, or where the process is connected already.
        """
        ray = require("ray", "ray")
        with _Shared.lock:
            if ray.is_initialized():
                _check_same(ray, address, runtime_env)
            else:
                _begin(ray, address, runtime_env, shows_output=shows_output)
                _Shared.ours, _Shared.runtime_env = True, runtime_env
            _Shared.users += 1
        return cls(ray, _address_of(ray))

    def close(self) -> None:
        """Let go of it; the last one that does so ends the connection, if dure made it. Idempotent."""
        with _Shared.lock:
            if self._closed:
                return
            self._closed = True
            _Shared.users -= 1
            if not _Shared.users and _Shared.ours:
                _Shared.ours, _Shared.runtime_env = False, None
                with _sigterm_kept():
                    self.ray.shutdown()

    def nodes(self) -> list[Node]:
        """Return the machines that are there now.

        Raises:
            StartFailed: The cluster does not answer.
        """
        ray = self.ray

        def free_by_id() -> dict[str, dict[str, float]]:
            import ray

            state: Any = ray._private.state
            return dict(state.available_resources_per_node())

        try:
            if _is_client(ray):  # which cannot ask for it itself
                free = ray.get(ray.remote(num_cpus=0)(free_by_id).remote(), timeout=_CALL_S)
            else:
                free = free_by_id()
            alive = [node for node in ray.nodes() if node["Alive"]]
        except Exception as error:
            raise StartFailed(f"the Ray cluster at {self.address} does not answer: {error}") from error
        return [
            Node(
                address=node["NodeManagerAddress"],
                total=dict(node["Resources"]),
                free=dict(free.get(node["NodeID"], {})),
            )
            for node in alive
        ]


def _begin(ray: Any, address: str, runtime_env: dict[str, Any] | None, *, shows_output: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # dure asks nobody to report home, nor do its libraries
    known = os.environ.get("RAY_ADDRESS", AUTO) if address == AUTO else address
    if known not in (AUTO, OWN):
        _probe(known)
    told: dict[str, Any] = _own() if known == OWN else {}
    told |= {"runtime_env": runtime_env, "log_to_driver": shows_output, "logging_level": "ERROR"}
    try:
        with _sigterm_kept():
            ray.init(address=known, **told)
    except Exception as error:
        with contextlib.suppress(Exception):
            ray.shutdown()
        raise _told(ray, known, runtime_env, error) from error


def _own() -> dict[str, Any]:
    cores = usable_cores()
    get_logger("flow").info("a Ray cluster of this machine is started, with %d cores", cores)
    told = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _OWN_STORE_BYTES}
    return told | ({"_node_ip_address": _OWN_ADDRESS} if sys.platform == "linux" else {})


def _told(ray: Any, address: str, runtime_env: dict[str, Any] | None, error: Exception) -> Exception:
    text = str(error)
    if "ersion mismatch" in text:
        here = f"Ray {ray.__version__}, Python {platform.python_version()}"
        return StartFailed(f"the Ray cluster at {address} runs other versions than this process ({here}): {text}")
    if isinstance(error, ValueError) and runtime_env is not None:
        return SpecError(f"runtime_env: {text}")
    if address == AUTO:
        return StartFailed(
            "there is no Ray cluster on this machine (address='auto'). Start one (ray start --head), or say where it"
            " is: address='host:6379', or address='ray://host:10001'"
        )
    return StartFailed(f"the Ray cluster at {address} cannot be joined: {text}")


def _probe(address: str) -> None:
    """Look whether Ray answers: left to itself it tries for a minute, and then ends the process.

    Raises:
        SpecError: No address.
        StartFailed: Nobody answers there, or somebody else.
    """
    import grpc

    target = address.removeprefix(CLIENT)
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal() or "/" in target:
        raise SpecError(f"address: {address!r} is no address of Ray; write 'auto', 'host:6379' or 'ray://host:10001'")
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return  # its certificates are Ray's to show
    code, details = _ask(target, _CLIENT_PING if address.startswith(CLIENT) else _ALIVE)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        raise StartFailed(f"what answers at {address} is not Ray; `ray status` on a node tells the cluster's address")
    if code is grpc.StatusCode.UNAUTHENTICATED and os.environ.get(_AUTH) is None:
        raise StartFailed(
            f"the Ray cluster at {address} wants a token: set {_AUTH}=token, and have the cluster's own in"
            " ~/.ray/auth_token or RAY_AUTH_TOKEN"
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        raise StartFailed(
            f"no Ray cluster answers at {address}: {details}. Is it started (ray start --head --port={port}), and can"
            " this machine reach it?"
        )


def _ask(target: str, path: str) -> tuple[Any, str]:
    """Call a method of gRPC with an empty message; return the status and its words."""
    import grpc

    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        method: Any = channel.unary_unary
        try:
            method(path)(b"", timeout=_PROBE_S)
        except grpc.RpcError as error:
            return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


def _check_same(ray: Any, address: str, runtime_env: dict[str, Any] | None) -> None:
    there = _address_of(ray)
    if address not in (AUTO, OWN, there) and not (address.startswith(CLIENT) and _is_client(ray)):
        raise SpecError(
            f"address: this process is connected to the Ray cluster at {there} already, not to {address}; leave address"
            " out, or end that connection first (ray.shutdown())"
        )
    if runtime_env is not None and runtime_env != _Shared.runtime_env:
        raise SpecError(
            "runtime_env: Ray takes it once, when a process connects, and this one is connected already; give it to"
            " ray.init() there, or start this Flow first"
        )


def _address_of(ray: Any) -> str:
    return str(ray.get_runtime_context().gcs_address)


def _is_client(ray: Any) -> bool:
    return bool(ray.util.client.ray.is_connected())


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever had it keeps it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
