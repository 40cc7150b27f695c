"""The client of BIB: trains a classifier and a tagger over gRPC, and asks them: `python main.py`.

Without addresses it starts a server of its own, with a home that is gone afterwards; with those of compose.yaml
(`--train 127.0.0.1:20003 --predict 127.0.0.1:20004`) it asks the containers.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import grpc

from dure.bib import predict_pb2, predict_pb2_grpc, train_pb2, train_pb2_grpc
from dure.dataset.example import LabelledText, TaggedText
from dure.dataset.samples import docstrings, sentences

PACKAGES = ("asyncio", "email")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Start a server that trains and predicts; give its address."""
    with tempfile.TemporaryDirectory(prefix="bib-") as home:
        command = [sys.executable, "-m", "dure.cli.main", "bib", "up", "--train", "--predict", "--port", "0"]
        environment = {**os.environ, "DURE_HOME": home}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                found = re.search(r"ready to .* at (\S+)", line)
                if found:
                    yield found[1]
                    break
            process.terminate()


def trained(stub: Any) -> None:
    """Train a classifier and a tagger, and tell how far they are."""
    rows = [row for row in docstrings().examples if isinstance(row, LabelledText) and row.label in PACKAGES]
    request = train_pb2.TrainTextClassificationModelRequest(
        model_name="tc_train",
        epochs=2,
        train_rate=0.8,
        data_set=[train_pb2.LabelledRow(text=row.text, label=row.label) for row in rows],
    )
    tell(stub.TrainTextClassificationModel(request))
    tagged = [row for row in sentences().examples if isinstance(row, TaggedText)]
    ner_request = train_pb2.TrainNamedEntityRecognitionModelRequest(
        model_name="ner_train", epochs=4, train_rate=0.8, data_set=[tagged_row(row) for row in tagged]
    )
    tell(stub.TrainNamedEntityRecognitionModel(ner_request))


def tagged_row(row: TaggedText) -> Any:
    spans = [train_pb2.EntitySpan(start=span.start, end=span.end, type=span.type) for span in row.entities]
    return train_pb2.TaggedRow(text=row.text, entities=spans)


def tell(told: Any) -> None:
    for progress in told:
        if progress.HasField("score") or progress.state != "running":
            score = f"score {progress.score:.3f}" if progress.HasField("score") else ""
            print(f"{progress.state:8} {progress.share:4.0%} {progress.elapsed_time:6.1f} s  {score} {progress.note}")


def asked(stub: Any) -> None:
    """Ask both models."""
    texts = ["Add a header to the message.", "Wait until the task is done or the timeout passes."]
    classified = stub.PredictTextClassification(
        predict_pb2.PredictTextClassificationRequest(model="tc_train", texts=texts)
    )
    for text, label, score in zip(texts, classified.labels, classified.scores, strict=True):
        print(f"{label} ({score:.2f}): {text}")
    texts = ["Maria Lopez flew from Seoul to Berlin on Monday.", "김민수는 지난주 금요일에 부산으로 떠났다."]
    tagged = stub.PredictNamedEntityRecognition(
        predict_pb2.PredictNamedEntityRecognitionRequest(model="ner_train", texts=texts)
    )
    for text, found in zip(texts, tagged.results, strict=True):
        print(
            ", ".join(f"{entity.text} ({entity.type})" for entity in found.entities) or "nothing", f": {text}", sep=""
        )
    print(f"loaded in {classified.load_time + tagged.load_time:.2f} s", end=", ")
    print(f"predicted in {classified.predict_time + tagged.predict_time:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and predict over gRPC.")
    parser.add_argument("--train", help="address of a server that trains")
    parser.add_argument("--predict", help="address of a server that predicts")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        own = "" if options.train and options.predict else stack.enter_context(server())
        channels = [grpc.insecure_channel(address or own) for address in (options.train, options.predict)]
        for channel in channels:
            stack.enter_context(channel)
            grpc.channel_ready_future(channel).result(timeout=60)
        trained(train_pb2_grpc.TrainProviderStub(channels[0]))  # type: ignore[no-untyped-call]
        asked(predict_pb2_grpc.PredictProviderStub(channels[1]))  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
