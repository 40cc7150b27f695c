"""Images of bundles, built by `dure hub build` on a real Docker Engine: what they answer, and what cannot be built."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dure import Client, Flow
from dure.nlp.encoder import SentenceEncoder
from tests.containers.workplace import BASE, build_base, engine
from tests.tiny_model import write_tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BUNDLE = Path(__file__).parents[2] / "hub" / "SentenceEncoder"
IMAGE = "dure-test/sentence-encoder:onnx"
TEXTS = ["many hands", "make light work", ""]


def hub(*words: str | Path, timeout_s: float = 250) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dure.cli.main", "hub", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    with engine() as client:
        yield client


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library, extra in (("transformers", "models"), ("onnx", "onnx"), ("onnxruntime", "onnx")):
        pytest.importorskip(library, reason=f"the extra `{extra}` is not installed")
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def built(docker: Any, model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image of the bundle with its model as ONNX, without PyTorch; return what the command said."""
    build_base(docker, tmp_path_factory.mktemp("images"))
    wheels = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--only-binary", ":all:", "-d", str(wheels)]
    subprocess.run([*pip, "-r", str(BUNDLE / "requirements-onnx.txt")], check=True, timeout=200)
    done = hub(
        *("build", BUNDLE, "--base", BASE, "--tag", IMAGE, "--wheels", wheels, "--model", model, "--onnx", "fp32"),
        *("--requirements", "requirements-onnx.txt", "--uses-with", "backend=onnx", "--uses-with", "model=tiny"),
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def running(docker: Any, *words: str, **settings: Any) -> Iterator[Any]:
    """Start the image as carefully as can be; wait until it is ready."""
    container = docker.containers.run(
        IMAGE,
        list(words),
        detach=True,
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        **settings,
    )
    try:
        deadline = time.monotonic() + 60
        while "Flow is ready" not in container.logs().decode():
            assert time.monotonic() < deadline, container.logs().decode()
            time.sleep(0.1)
        container.reload()
        yield container
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def expected(model: Path) -> np.ndarray:
    with Flow().add(uses=SentenceEncoder, uses_with={"model": str(model)}) as flow:
        embeddings: np.ndarray = flow.post("/encode", TEXTS).embeddings
        return embeddings


@pytest.fixture(scope="module")
def port(docker: Any, built: str) -> Iterator[int]:
    with running(docker, ports={"8080/tcp": ("127.0.0.1", None)}) as container:
        yield int(container.ports["8080/tcp"][0]["HostPort"])


def test_what_was_built_is_told(built: str, docker: Any) -> None:
    image = docker.images.get(IMAGE)
    assert f"Built {IMAGE}" in built
    assert image.id in built
    assert f"{image.attrs['Size'] / 1e6:,.1f} MB" in built
    assert "in /opt/venv" in built
    assert image.labels["dev.dure.models"] == "tiny"
    assert image.labels["org.opencontainers.image.title"] == "sentence-encoder"
    assert image.attrs["Config"]["User"] == "10001:10001"


def test_one_port_answers_curl_grpc_and_python(port: int, expected: np.ndarray) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    body = json.dumps({"data": TEXTS})
    command = ["curl", "-sSf", f"localhost:{port}/encode", "-d", body]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    by_curl = np.array([one["embedding"] for one in json.loads(said)["data"]], np.float32)
    np.testing.assert_allclose(by_curl, expected, atol=1e-4)
    with Client(port=port) as client:
        np.testing.assert_allclose(client.post("/encode", TEXTS).embeddings, expected, atol=1e-4)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_who_neither_speaks_http_nor_grpc_is_answered_or_left(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nXX")  # begins as gRPC does, and goes on as nobody does
        assert b"400" in sock.recv(100)
    with Client(port=port) as client:
        assert len(client.post("/encode", ["still there"])) == 1


def test_it_says_how_it_is(docker: Any, built: str) -> None:
    with running(docker, healthcheck={"interval": 10**9, "start_period": 10**9}) as container:
        deadline = time.monotonic() + 20
        while (health := container.attrs["State"]["Health"]["Status"]) != "healthy" and time.monotonic() < deadline:
            time.sleep(0.2)
            container.reload()
        assert health == "healthy"


def test_the_model_is_in_it(docker: Any, built: str, expected: np.ndarray) -> None:
    program = (
        "from dure import Client; import numpy as np; client = Client(port=8080)\n"
        f"print(client.post('/encode', {TEXTS!r}).embeddings.astype('f4').tobytes().hex()); client.close()"
    )
    with running(docker, network_mode="none") as container:
        code, said = container.exec_run(["python", "-c", program])
    assert code == 0, said
    found = np.frombuffer(bytes.fromhex(said.decode().strip()), np.float32).reshape(len(TEXTS), -1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_flow_uses_it(built: str, expected: np.ndarray) -> None:
    with Flow().add(uses=f"docker://{IMAGE}") as flow:
        np.testing.assert_allclose(flow.post("/encode", TEXTS).embeddings, expected, atol=1e-4)


def test_help_tells_of_the_bundle(docker: Any, built: str) -> None:
    said = docker.containers.run(IMAGE, ["--help"], remove=True, network_mode="none").decode()
    for words in ("SentenceEncoder: Sets the embedding", "/encode", "8080", "--keys-file", "--uses-with", "/tmp"):
        assert words in said


def test_options_are_those_of_executor_up(docker: Any, built: str) -> None:
    failed = docker.containers.create(IMAGE, ["--uses-with", "modle=tiny"])
    try:
        failed.start()
        assert failed.wait(timeout=60)["StatusCode"] == 1
        assert "takes no argument 'modle'. Did you mean 'model'" in failed.logs().decode()
    finally:
        failed.remove(force=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--base", "dure-test/nowhere:1"), "the base 'dure-test/nowhere:1' is not on this machine"),
        (("--base", "python\nRUN evil"), "--base: one line of text"),
        (("--build-arg", "TORCH_INDEX=a\nRUN evil"), "--build-arg TORCH_INDEX: one line of text"),
        (("--tag", "a b"), "--tag: 'a b' is no image's name"),
        (("--requirements", "../requirements.txt"), "is no requirements….txt"),
        (("--requirements", "requirements-none.txt"), "there is no such file"),
        (("--model", "{folder}"), "the snapshot is incomplete: config.json"),
        (("--model", "no-such-model"), "no complete snapshot"),
        (("--wheels", "{folder}"), "no wheels there"),
    ],
)
def test_what_cannot_be_built(words: tuple[str, ...], told: str, docker: Any, tmp_path: Path) -> None:
    done = hub("build", BUNDLE, *(word.format(folder=tmp_path) for word in words), timeout_s=60)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_requirement_that_pip_does_not_find(docker: Any, built: str, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    (bundle / "requirements.txt").write_text("no-such-package-of-anyone==1.0\n", encoding="utf-8")
    done = hub("build", bundle, "--base", BASE, "--tag", "dure-test/never")
    assert done.returncode == 1
    assert "pip finds no no-such-package-of-anyone==1.0" in done.stderr
    assert "  ERROR: " in done.stderr
    (bundle / "config.yml").unlink()
    done = hub("build", bundle)
    assert "no bundle: it has no config.yml" in done.stderr
