"""Probes: how Kubernetes asks a pod whether it has started, takes requests, and is alive."""

import math
from typing import Any, TypeAlias

from dure.backends.image import PORT
from dure.export.workload import Entrance, Unit

Values: TypeAlias = dict[str, Any]

_STARTUP_PERIOD_S = 5


def probes_of(unit: Unit) -> Values:
    """Return the probes of an Executor's container; it has as long to start as was said."""
    ready, live = _asks("/health/ready", PORT), _asks("/health/live", PORT)
    return _probes(started=ready, ready=ready, live=live, slowest_s=unit.spec.timeout_ready_s)


def gateway_probes_of(entrance: Entrance) -> Values:
    """Return the probes of the gateway, in a protocol that it speaks and the kubelet as well."""
    spec = entrance.spec
    http = next((door.inside for door in entrance.doors if door.name == "http"), None)
    slowest_s = max(executor.timeout_ready_s for executor in entrance.flow.executors)
    scheme = "HTTP" if spec.tls_cert is None else "HTTPS"
    port = entrance.doors[0].inside
    listens: Values = {"tcpSocket": {"port": port}, "timeoutSeconds": 3}
    if spec.tls_client_ca is not None or (http is None and spec.tls_cert is not None):
        ready = live = listens  # kubelet shows no certificate, and asks no gRPC over TLS
    elif http is None:
        ready, live = {"grpc": {"port": port}, "timeoutSeconds": 3}, listens
    else:
        ready, live = _asks("/health/ready", http, scheme), _asks("/health/live", http, scheme)
    return _probes(started=live, ready=ready, live=live, slowest_s=slowest_s)


def _probes(*, started: Values, ready: Values, live: Values, slowest_s: float) -> Values:
    threshold = math.ceil(slowest_s / _STARTUP_PERIOD_S)
    return {
        "startupProbe": {**started, "periodSeconds": _STARTUP_PERIOD_S, "failureThreshold": threshold},
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 6},
    }


def _asks(path: str, port: int, scheme: str = "HTTP") -> Values:
    return {"httpGet": {"path": path, "port": port, "scheme": scheme}, "timeoutSeconds": 3}
