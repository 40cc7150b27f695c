"""From JavaScript: with a client made of the OpenAPI document, and over gRPC with what reflection tells."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, Flow, requests
from tests.e2e.installed import CLIENTS, FOLDER, needs_javascript

pytestmark = needs_javascript

EMBEDDING = np.array([20, 0.5], np.float32)


class Factor(TypedDict, total=False):
    factor: float


class Encoder(Executor):
    @requests(on="/encode")
    def encode(self, docs: DocumentArray, parameters: Factor) -> None:
        """Embed by length."""
        docs.embeddings = np.array([[len(text) * parameters.get("factor", 1), 0.5] for text in docs.texts], np.float32)

    @requests(on="/words")
    def words(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
        """Yield the words, one by one."""
        for word in docs[0].text.split():
            yield Document(text=word)


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow(protocol=["http", "websocket", "grpc"]).add(uses=Encoder, timeout_ready_s=20) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in ("package.json", "call.ts", "reflect.mjs"):
        shutil.copy(CLIENTS / file, tmp_path)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    return tmp_path


def node(folder: Path, program: str, *arguments: str) -> str:
    ran = subprocess.run(
        ["node", program, *arguments], cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_client_made_of_the_openapi_document(flow: Flow, folder: Path) -> None:
    address = f"127.0.0.1:{flow.ports['http']}"
    packages = folder / "node_modules"
    node(folder, f"{packages}/openapi-typescript/bin/cli.js", f"http://{address}/openapi.json", "-o", "schema.d.ts")
    options = ("--strict", "--target", "es2023", "--module", "nodenext", "--lib", "es2023,dom,dom.asynciterable")
    node(folder, f"{packages}/typescript/bin/tsc", *options, "--skipLibCheck", "call.ts")
    told = json.loads(node(folder, "call.js", address))
    assert told["ready"] == 200
    assert [document["embedding"] for document in told["answer"]["data"]] == [[20, 0.5], [14, 0.5]]
    assert told["answer"]["data"][0]["id"] == "a"
    assert told["failure"] == [422, "parameters"]
    assert told["events"] == [["part", ["many"]], ["part", ["hands"]], ["done", []]]
    assert told["socket"]["id"] == 7
    assert told["socket"]["data"][0]["text"] == "웹"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_grpc_by_reflection_alone(flow: Flow, folder: Path, version: str) -> None:
    told = json.loads(node(folder, "reflect.mjs", f"127.0.0.1:{flow.ports['grpc']}", version))
    assert told["methods"]["dure.v1.Flow"] == ["Post", "Stream", "Describe"]
    assert {"ModelInfer", "ModelStreamInfer", "ServerReady"} < set(told["methods"]["inference.GRPCInferenceService"])
    assert told["methods"]["grpc.health.v1.Health"] == ["Check", "Watch"]
    assert set(told["methods"]) >= {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert told["text"] == ["many hands"]
    assert told["embedding"] == told["raw"] == EMBEDDING.tobytes().hex()
    assert told["outputs"] == ["text", "embedding"]
    assert (told["platform"], told["type"]) == ("dure", "TYPE_STRING")
