"""`dure bib up` as people run it: both tasks trained and asked over gRPC, killed in mid-training, and told to end."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dure.bib import predict_pb2, predict_pb2_grpc, train_pb2, train_pb2_grpc
from tests.tiny_model import write_tiny_model

pytestmark = pytest.mark.timeout(240)

NAMES, PLACES = ("anna", "bob", "chloe", "farid"), ("oslo", "rome", "lima")
SENTENCES = [(f"{name} went to {place}", name, place) for name in NAMES for place in PLACES] * 4
LABELLED = [{"text": text, "label": "people"} for text, _, _ in SENTENCES]
LABELLED += [{"text": f"{place} is cold {day}", "label": "weather"} for place in PLACES for day in range(16)]
TAGGED = [
    {
        "text": text,
        "entities": [
            {"start": 0, "end": len(name), "type": "PER"},
            {"start": len(text) - len(place), "end": len(text), "type": "LOC"},
        ],
    }
    for text, name, place in SENTENCES
]
TOKENS = [{"tokens": text.split(), "tags": ["B-PER", "O", "O", "B-LOC"]} for text, _, _ in SENTENCES]
OPTIONS = {"encoder": "tiny", "learning_rate": 3e-3, "batch_size": 16, "seed": 3}


@dataclass
class Server:
    process: "subprocess.Popen[bytes]"
    channel: grpc.Channel

    @property
    def train(self) -> Any:
        return train_pb2_grpc.TrainProviderStub(self.channel)  # type: ignore[no-untyped-call]

    @property
    def predict(self) -> Any:
        return predict_pb2_grpc.PredictProviderStub(self.channel)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def bib_up(home: Path, encoders: Path, *flags: str) -> Iterator[Server]:
    log = home / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "dure.cli.main", "bib", "up", "--port", "0", "--encoders", str(encoders), *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, "DURE_HOME": str(home)}, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not (ready := re.search(r"ready to .* at (\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        with grpc.insecure_channel(ready[1]) as channel:
            yield Server(process, channel)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    write_tiny_model(folder / "tiny", [*NAMES, *PLACES, "went", "to", "is", "cold"])
    return folder


def test_both_tasks_are_trained_and_asked(tmp_path: Path, encoders: Path) -> None:
    with bib_up(tmp_path, encoders, "--train", "--predict") as server:
        request = train_pb2.TrainTextClassificationModelRequest(
            model_name="tc_train", epochs=4, train_rate=0.8, data_set=LABELLED, options=OPTIONS
        )
        *_, end = server.train.TrainTextClassificationModel(request)
        assert (end.state, end.version) == ("done", 1), end.note
        assert end.score >= 0.9
        for rows, version in ((TAGGED, 1), (TOKENS, 2)):
            tagging = train_pb2.TrainNamedEntityRecognitionModelRequest(
                model_name="ner_train", epochs=8, train_rate=0.8, data_set=rows, options=OPTIONS
            )
            *_, end = server.train.TrainNamedEntityRecognitionModel(tagging)
            assert (end.state, end.version) == ("done", version), end.note
            assert end.score >= 0.9
        classify = predict_pb2.PredictTextClassificationRequest(
            model="tc_train", texts=["bob went to rome", "lima is cold"]
        )
        assert list(server.predict.PredictTextClassification(classify).labels) == ["people", "weather"]
        find = predict_pb2.PredictNamedEntityRecognitionRequest(model="ner_train@1", texts=["chloe went to lima", ""])
        first, second = server.predict.PredictNamedEntityRecognition(find).results
        assert [(one.text, one.type, one.start, one.end) for one in first.entities] == [
            ("chloe", "PER", 0, 5),
            ("lima", "LOC", 14, 18),
        ]
        assert not second.entities
        server.process.terminate()
        assert server.process.wait(30) == 0


def test_a_training_outlives_its_server(tmp_path: Path, encoders: Path) -> None:
    """One trains and one predicts, of one home: the first is killed, and the next goes on with its training."""
    request = train_pb2.TrainTextClassificationModelRequest(
        model_name="m", epochs=60, train_rate=0.8, data_set=LABELLED, options=OPTIONS
    )
    with bib_up(tmp_path, encoders, "--predict") as predicts:
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            next(predicts.train.TrainTextClassificationModel(request))
        with bib_up(tmp_path, encoders, "--train") as first:
            call = first.train.TrainTextClassificationModel(request)
            job_id = next(progress.job_id for progress in call if progress.step)
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
        with bib_up(tmp_path, encoders, "--train") as second:
            *_, end = second.train.WatchJob(train_pb2.WatchJobRequest(job_id=job_id))
            assert (end.state, end.version) == ("done", 1), end.note
        classify = predict_pb2.PredictTextClassificationRequest(model="m", texts=["lima is cold"])
        assert list(predicts.predict.PredictTextClassification(classify).labels) == ["weather"]


def test_who_watches_is_told_that_the_server_ends(tmp_path: Path, encoders: Path) -> None:
    request = train_pb2.TrainTextClassificationModelRequest(
        model_name="m", epochs=500, train_rate=0.8, data_set=LABELLED, options=OPTIONS
    )
    with bib_up(tmp_path, encoders, "--train") as server:
        call = server.train.TrainTextClassificationModel(request)
        job_id = next(progress.job_id for progress in call if progress.step)
        health = health_pb2_grpc.HealthStub(server.channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        server.process.terminate()
        with pytest.raises(grpc.RpcError, match=f"{job_id} trains on"):
            list(call)
        assert server.process.wait(30) == 0
    with bib_up(tmp_path, encoders, "--train") as again:
        again.train.CancelJob(train_pb2.CancelJobRequest(job_id=job_id))
        *_, end = again.train.WatchJob(train_pb2.WatchJobRequest(job_id=job_id))
        assert end.state == "cancelled"
