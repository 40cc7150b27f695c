"""The door of a BIB server: keys and what they are good for, limits, TLS, the audit, and who is not let in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from dure.bib import predict_pb2, predict_pb2_grpc, train_pb2, train_pb2_grpc
from dure.bib.server import BibServer
from dure.errors import SpecError
from dure.gateway import keys as key_file
from dure.gateway.keys import Key, Scope
from dure.gateway.limits import Limits
from dure.spec import GatewaySpec
from tests.certificates import made
from tests.e2e.bib import ROWS, settings, tiny_bib

pytestmark = pytest.mark.timeout(120)

Classify = predict_pb2.PredictTextClassificationRequest
Train = train_pb2.TrainTextClassificationModelRequest
Metadata = list[tuple[str, str]]


def key_of(path: Path, *scopes: Scope, **limits: Any) -> Metadata:
    def key(name: str, salt: str, digest: str) -> Key:
        return Key(id=name, name="x", salt=salt, hash=digest, scopes=list(scopes), limits=Limits(**limits))

    return [("authorization", f"Bearer {key_file.add(path, key)}")]


async def trained(channel: Any, metadata: Metadata | None = None) -> str:
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    request = Train(model_name="m", epochs=1, data_set=ROWS)
    state = ""
    async for progress in stub.TrainTextClassificationModel(request, metadata=metadata):
        state = progress.state
    return state


async def status_of(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DURE_HOME", str(tmp_path))
    return tmp_path


async def test_keys_are_good_for_what_they_say(home: Path) -> None:
    path = home / "keys.json"
    infer, train, admin = (key_of(path, scope) for scope in (Scope.INFER, Scope.TRAIN, Scope.ADMIN))
    audit = home / "audit.jsonl"
    door = GatewaySpec(keys_file=str(path), audit_file=str(audit))
    async with tiny_bib(home, door=door) as address, grpc.aio.insecure_channel(address) as channel:
        stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
        ask = Classify(model="m", texts=["fresh bread", "a storm"])
        for refused in (infer, admin):
            with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
                await trained(channel, refused)
        assert await trained(channel, train) == "done"
        found = [await status_of(stub.PredictTextClassification(ask, metadata=one)) for one in (infer, train, None)]
        assert found == ["OK", "PERMISSION_DENIED", "UNAUTHENTICATED"]
        models = predict_pb2.ListModelsRequest()
        assert [await status_of(stub.ListModels(models, metadata=one)) for one in (infer, None)] == [
            "OK",
            "UNAUTHENTICATED",
        ]
        alias = predict_pb2.SetAliasRequest(name="m", alias="prod", version=1)
        assert [await status_of(stub.SetAlias(alias, metadata=one)) for one in (infer, admin)] == [
            "PERMISSION_DENIED",
            "OK",
        ]
    told = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["endpoint"], line["rows"], line["outcome"]) for line in told if line["rows"]] == [
        ("train tc", len(ROWS), "ok"),
        ("predict tc", 2, "ok"),
    ]
    assert {line["outcome"] for line in told} == {"ok", "forbidden", "unauthenticated"}
    assert "bread" not in audit.read_text()


async def test_texts_are_what_a_client_may_send(home: Path) -> None:
    path = home / "keys.json"
    train, few = key_of(path, Scope.TRAIN), key_of(path, Scope.INFER, max_rows_per_s=5)
    door = GatewaySpec(keys_file=str(path))
    async with tiny_bib(home, door=door) as address, grpc.aio.insecure_channel(address) as channel:
        await trained(channel, train)
        stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
        ask = Classify(model="m", texts=["bread"] * 4)
        answers = [await status_of(stub.PredictTextClassification(ask, metadata=few)) for _ in range(5)]
        assert answers[0] == "OK"
        assert "RESOURCE_EXHAUSTED" in answers


async def test_tls_and_clients_that_show_who_they_are(home: Path) -> None:
    files = made(home)
    read = {name: (files / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")}
    door = GatewaySpec(
        tls_cert=str(files / "server.pem"), tls_key=str(files / "server.key"), tls_client_ca=str(files / "ca.pem")
    )
    known = grpc.ssl_channel_credentials(read["ca.pem"], read["client.key"], read["client.pem"])
    async with tiny_bib(home, door=door) as address:
        async with grpc.aio.secure_channel(address, known) as channel:
            assert await trained(channel) == "done"
        for unknown in (
            grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(read["ca.pem"])),
            grpc.aio.insecure_channel(address),
        ):
            async with unknown:
                stub: Any = predict_pb2_grpc.PredictProviderStub(unknown)  # type: ignore[no-untyped-call]
                assert await status_of(stub.ListModels(predict_pb2.ListModelsRequest(), timeout=10)) == "UNAVAILABLE"


def test_who_would_serve_everybody_has_to_say_so(home: Path) -> None:
    with pytest.raises(SpecError, match=r"0\.0\.0\.0 can be reached from other machines.*insecure"):
        BibServer(settings(door=GatewaySpec(host="0.0.0.0")))
    command = [sys.executable, "-m", "dure.cli.main", "bib", "up", "--predict", "--host", "0.0.0.0"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 1
    assert "can be reached from other machines" in told.stderr
    told = subprocess.run([*command, "--tls-key", "x"], capture_output=True, text=True, timeout=60)
    assert "tls_cert and tls_key: give both, or neither" in told.stderr
