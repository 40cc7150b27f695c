"""mosec: its HTTP server in Rust and one worker process. JSON by orjson in its own hooks, or its msgpack mixin."""

import sys
from typing import Any

import numpy as np
import orjson
from mosec import Server, Worker  # type: ignore[import-not-found]
from mosec.mixin import MsgpackMixin  # type: ignore[import-not-found]

import lifeline
from peers.job import Job, answer, encode_groups, texts_of

JOB = Job.asked()


class Encoder(Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        self._encode = JOB.encoder()

    def deserialize(self, data: bytes) -> Any:
        return orjson.loads(data)

    def serialize(self, data: np.ndarray) -> bytes:
        return answer(data)

    def forward(self, data: Any) -> Any:
        if not JOB.batching:
            return self._encode(texts_of(data))
        return encode_groups(self._encode, [texts_of(request) for request in data])


class PackedEncoder(MsgpackMixin, Worker):  # type: ignore[misc]
    """Its mixin packs no arrays, so their bytes are given."""

    def __init__(self) -> None:
        self._encode = JOB.encoder()

    def forward(self, data: dict[str, Any]) -> dict[str, bytes]:
        return {"embeddings": self._encode(data["texts"]).tobytes()}


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(JOB.port), "--timeout", "120000", "--log-level", "warning"]
    lifeline.terminate_when_alone()
    server = Server()
    batching = {"max_batch_size": JOB.max_batch_size, "max_wait_time": int(JOB.max_wait_s * 1e3)}
    worker = PackedEncoder if JOB.wire == "msgpack" else Encoder
    server.append_worker(worker, num=1, timeout=120, route="/encode", **(batching if JOB.batching else {}))
    server.run()
