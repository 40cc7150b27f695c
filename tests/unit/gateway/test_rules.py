"""What routes ask for; the doors' own tables are held against it in tests/e2e/test_guard.py."""

import pytest

from dure.gateway.keys import Scope
from dure.gateway.rules import OPEN, of_grpc, of_http


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/health/live", OPEN),
        ("POST", "/health/live", Scope.INFER),
        ("GET", "/health/live/", Scope.INFER),
        ("GET", "//health/live", Scope.INFER),
        ("GET", "/health/../health/live", Scope.INFER),
        ("POST", "/encode", Scope.INFER),
        ("POST", "", Scope.INFER),
        ("GET", "/v2/models/a/ready", Scope.INFER),
        ("POST", "/v2/repository/models/a/load", Scope.ADMIN),
        ("POST", "/v2/repository/models/a/b/unload", Scope.ADMIN),
        ("POST", "/v2/logging", Scope.ADMIN),
        ("POST", "/v2/models/load/infer", Scope.INFER),
        ("GET", "/live.json", Scope.METRICS),
    ],
)
def test_http(method: str, path: str, need: Scope | None) -> None:
    assert of_http(method, path) is need


@pytest.mark.parametrize(
    ("method", "need"),
    [
        ("/grpc.health.v1.Health/Check", OPEN),
        ("/dure.v1.Flow/Post", Scope.INFER),
        ("/inference.GRPCInferenceService/ModelInfer", Scope.INFER),
        ("/inference.GRPCInferenceService/ServerLive", OPEN),
        ("/inference.GRPCInferenceService/RepositoryModelLoad", Scope.ADMIN),
        ("/some.Service/Method", Scope.ADMIN),
        ("/grpc.health.v1.Health/Check/../../dure.v1.Flow/Post", Scope.ADMIN),
        ("", Scope.ADMIN),
    ],
)
def test_grpc(method: str, need: Scope | None) -> None:
    assert of_grpc(method) is need
