"""Trained models in images, and the servers of examples/bib/compose.yaml, on a real engine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from dure import Flow
from dure.bib import train_pb2, train_pb2_grpc
from tests.containers.workplace import BASE, ROOT, build_base, engine
from tests.trained_models import labelled, train_tagger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = ROOT / "examples" / "bib"
IMAGE = "bib:cpu"  # as compose.yaml has it
PROJECT = "dure-test-bib"
TRAIN, PREDICT = "127.0.0.1:20003", "127.0.0.1:20004"
REQUIREMENTS = "requirements-from-nothing.txt"


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    with engine() as client:
        yield client


@pytest.fixture(scope="module")
def image(docker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bundle EntityTagger as an image, with a model in it that was trained here."""
    build_base(docker, tmp_path_factory.mktemp("base"))
    home, wheels = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("wheels")
    train_tagger(home, "names")
    bundle = ROOT / "hub" / "EntityTagger"
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--only-binary", ":all:", "-d", str(wheels)]
    subprocess.run([*pip, "-r", str(bundle / REQUIREMENTS)], check=True, timeout=400)
    command = [sys.executable, "-m", "dure.cli.main", "hub", "build", str(bundle), "--base", BASE, "--tag", IMAGE]
    command += [
        "--wheels",
        str(wheels),
        "--requirements",
        REQUIREMENTS,
        "--model",
        "names",
        "--uses-with",
        "model=names",
    ]
    environment = {**os.environ, "DURE_HOME": str(home)}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert not built.returncode, built.stdout + built.stderr
    assert "models/names@1:" in built.stdout
    yield IMAGE
    docker.images.remove(IMAGE, force=True)


@pytest.fixture(scope="module")
def servers(docker: Any, image: str) -> Iterator[dict[str, Any]]:
    """The two servers for the CPU, as docker-compose starts them."""
    if shutil.which("docker-compose") is None:
        pytest.skip("NO COMPOSE FILE WAS TESTED: docker-compose is not installed")
    compose = ["docker-compose", "-f", str(EXAMPLE / "compose.yaml"), "-p", PROJECT]
    subprocess.run([*compose, "up", "-d"], check=True, capture_output=True, timeout=120)
    try:
        for address in (TRAIN, PREDICT):
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=120)
        named = {one.labels["com.docker.compose.service"]: one for one in docker.containers.list()}
        yield {name: one for name, one in named.items() if name.startswith("bib_")}
    finally:
        subprocess.run([*compose, "down", "-v"], check=True, capture_output=True, timeout=120)


def test_the_model_in_the_image_answers(image: str) -> None:
    with Flow().add(uses=f"docker://{image}", name="tagger", timeout_ready_s=120) as flow:
        docs = flow.post("/predict", ["anna went to oslo", "nobody was here"])
    assert [(one["text"], one["type"]) for one in docs[0].tags["entities"]] == [("anna", "PER"), ("oslo", "LOC")]


def test_the_file_has_the_four_servers_of_the_post() -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("NO COMPOSE FILE WAS TESTED: docker-compose is not installed")
    command = ["docker-compose", "-f", str(EXAMPLE / "compose.yaml"), "--profile", "gpu", "config"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    ports = dict(re.findall(r"^  (bib_\w+):$.*?127\.0\.0\.1:(\d+):50051", told, re.MULTILINE | re.DOTALL))
    assert ports == {
        "bib_train_gpu": "20001",
        "bib_predict_gpu": "20002",
        "bib_train_cpu": "20003",
        "bib_predict_cpu": "20004",
    }
    assert told.count("driver: nvidia") == 2


def test_what_one_server_trains_the_other_predicts_with(servers: dict[str, Any]) -> None:
    assert sorted(servers) == ["bib_predict_cpu", "bib_train_cpu"]
    client = [sys.executable, str(EXAMPLE / "main.py"), "--train", TRAIN, "--predict", PREDICT]
    told = subprocess.run(client, capture_output=True, text=True, timeout=400, check=False)
    assert not told.returncode, told.stdout + told.stderr
    assert len(re.findall("^done ", told.stdout, re.MULTILINE)) == 2
    assert re.search(r"^email \([01]\.\d+\): Add a header", told.stdout, re.MULTILINE), told.stdout


def test_a_server_that_dies_comes_back_and_its_training_goes_on(docker: Any, servers: dict[str, Any]) -> None:
    data_set = [train_pb2.LabelledRow(text=row.text, label=row.label) for row in labelled(2000)]
    request = train_pb2.TrainTextClassificationModelRequest(
        model_name="weather", epochs=200, train_rate=0.8, data_set=data_set
    )
    container = servers["bib_train_cpu"]
    with grpc.insecure_channel(TRAIN) as channel:
        stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
        running = next(told for told in stub.TrainTextClassificationModel(request) if told.step > 10)
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)  # as a crash: what is stopped by hand stays stopped
    with grpc.insecure_channel(TRAIN) as channel:
        grpc.channel_ready_future(channel).result(timeout=120)
        stub = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
        seen = 0
        for told in stub.WatchJob(train_pb2.WatchJobRequest(job_id=running.job_id)):
            seen = max(seen, told.step)
            if seen > running.step + 10:
                break
        stub.CancelJob(train_pb2.CancelJobRequest(job_id=running.job_id))
    assert seen > running.step + 10
    deadline = time.monotonic() + 60
    while (container.reload(), container.attrs["RestartCount"])[1] != 1:
        assert time.monotonic() < deadline, json.dumps(container.attrs["State"])
