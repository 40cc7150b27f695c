"""A BIB server in a process of its own, and a client of it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from dure.bib import predict_pb2, predict_pb2_grpc
from dure.errors import StartFailed
from dure.store.version import Version

_READY = re.compile(r"ready to predict on \S+ at (\S+)")
_NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Service:
    """Predictions of one model over gRPC, as a user's client has them; the model is loaded before anything is asked.

    Args:
        home: The server's home folder.
        device: Where it predicts.
        version: The model.
    """

    def __init__(self, home: Path, device: str, version: Version) -> None:
        self._version = version
        self._command = [
            sys.executable,
            "-m",
            "dure.cli.main",
            "bib",
            "up",
            "--predict",
            "--port=0",
            "--device",
            device,
        ]
        self._environment = {
            **os.environ,
            "DURE_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.PIPE, text=True)
        self._channel = grpc.insecure_channel(self._address(), options=_NO_LIMIT)
        self._stub: Any = predict_pb2_grpc.PredictProviderStub(self._channel)  # type: ignore[no-untyped-call]
        self._stub.LoadModel(predict_pb2.ModelRequest(model=str(self._version)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.wait()

    def predict(self, texts: Sequence[str]) -> Any:
        """Return the server's answer for all texts in one request."""
        if self._version.card["task"] == "tc":
            classified = predict_pb2.PredictTextClassificationRequest(model=str(self._version), texts=texts)
            return self._stub.PredictTextClassification(classified)
        tagged = predict_pb2.PredictNamedEntityRecognitionRequest(model=str(self._version), texts=texts)
        return self._stub.PredictNamedEntityRecognition(tagged)

    def _address(self) -> str:
        assert self._process.stderr is not None
        told = []
        for line in self._process.stderr:
            told.append(line)
            found = _READY.search(line)
            if found:
                threading.Thread(target=self._process.stderr.read, daemon=True).start()  # what it says further
                return found[1]
        raise StartFailed(f"the server ended before it was ready: {''.join(told).strip()}")
