"""mosec with its msgpack wire and a worker that does nothing, to be run where mosec is installed.

python mosec_server.py PORT
"""

import os
import signal
import sys
import threading
from typing import Any

import numpy as np
from mosec import Server, Worker  # type: ignore[import-not-found]
from mosec.mixin import MsgpackMixin  # type: ignore[import-not-found]

_VECTOR = np.random.default_rng(0).random(384, dtype=np.float32)


class Noop(MsgpackMixin, Worker):  # type: ignore[misc]
    """Its mixin packs no arrays, so their bytes are given."""

    def forward(self, data: dict[str, Any]) -> dict[str, bytes]:
        return {"embeddings": np.repeat(_VECTOR[None], len(data["texts"]), axis=0).tobytes()}


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    port = sys.argv.pop()
    sys.argv += ["--address", "127.0.0.1", "--port", port, "--timeout", "60000", "--log-level", "warning"]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server = Server()
    server.append_worker(Noop, num=1, timeout=60, route="/encode")
    server.run()
