"""What each route asks of a key: nothing, or a scope. What is not said here is refused to all but `admin`.

Pure. The paths are the ones that the doors' tables are looked up with, so there is no second way to write one.
"""

import re
from typing import Final

from dure.gateway.keys import Scope

OPEN: Final = None
"""Asks for no key."""

HTTP: dict[tuple[str, str], Scope | None] = {
    ("GET", "/health/live"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/v2/health/live"): OPEN,
    ("GET", "/v2/health/ready"): OPEN,
    ("POST", "/post"): Scope.INFER,
    ("GET", "/openapi.json"): Scope.INFER,
    ("GET", "/"): OPEN,
    ("GET", "/live.json"): Scope.METRICS,
}
"""Single routes, by method and path."""

FAMILIES: dict[str, Scope | None] = {"docs": Scope.INFER, "page": OPEN, "v1": Scope.INFER, "v2": Scope.INFER}
"""Everything else below a first segment."""

_ADMIN = re.compile(r"/v2/(?:repository/.*/(?:un)?load|(?:.*/)?trace/setting|logging)")
"""What changes the Flow."""

GRPC: dict[str, Scope | None] = {
    "/grpc.health.v1.Health": OPEN,
    "/grpc.reflection.v1alpha.ServerReflection": Scope.INFER,
    "/grpc.reflection.v1.ServerReflection": Scope.INFER,
    "/dure.v1.Flow": Scope.INFER,
    "/dure.bib.TrainProvider": Scope.TRAIN,
    "/dure.bib.PredictProvider": Scope.INFER,
    "/dure.bib.PredictProvider/UnloadModel": Scope.ADMIN,
    "/dure.bib.PredictProvider/DeleteModel": Scope.ADMIN,
    "/dure.bib.PredictProvider/SetAlias": Scope.ADMIN,
    "/inference.GRPCInferenceService": Scope.INFER,
    "/inference.GRPCInferenceService/ServerLive": OPEN,
    "/inference.GRPCInferenceService/ServerReady": OPEN,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Scope.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Scope.ADMIN,
    "/inference.GRPCInferenceService/TraceSetting": Scope.ADMIN,
    "/inference.GRPCInferenceService/LogSettings": Scope.ADMIN,
}
"""Services, and methods that differ from the rest of theirs."""


def of_http(method: str, path: str) -> Scope | None:
    """Return what an HTTP request or a WebSocket (as GET) asks for. A path that is no route is an endpoint."""
    if (method, path) in HTTP:
        return HTTP[method, path]
    family = path.split("/", 2)[1] if path.startswith("/") else ""
    if family in FAMILIES:
        return Scope.ADMIN if _ADMIN.fullmatch(path) else FAMILIES[family]
    return Scope.INFER


def of_grpc(method: str) -> Scope | None:
    """Return what a gRPC method, `/service/method`, asks for."""
    if method in GRPC:
        return GRPC[method]
    return GRPC.get(method.rpartition("/")[0], Scope.ADMIN)
