"""LitServe: one worker process. The answer is written by orjson in the worker."""

from typing import Any

import litserve  # type: ignore[import-not-found]
import numpy as np
from fastapi import Response  # type: ignore[import-not-found]

import lifeline
from peers.job import Job, answer, encode_groups, texts_of

JOB = Job.asked()


class Encoder(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self._encode = JOB.encoder()

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        return texts_of(request)

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        return inputs

    def predict(self, inputs: Any) -> Any:
        return encode_groups(self._encode, inputs) if JOB.batching else self._encode(inputs)

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        return output

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(answer(output), media_type="application/json")


if __name__ == "__main__":
    lifeline.terminate_when_alone()
    batching = {"max_batch_size": JOB.max_batch_size, "batch_timeout": JOB.max_wait_s} if JOB.batching else {}
    encoder = Encoder(api_path="/encode", **batching)
    server = litserve.LitServer(encoder, accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(host="127.0.0.1", port=JOB.port, generate_client_file=False, log_level="warning")
