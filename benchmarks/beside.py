"""A model behind a server, each run between two runs of the bare library: measured of dure and of peers alike."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dure import Flow
from http_client import ask
from peers.environment import Environment
from peers.server import Server
from processes import Program, cpu_s
from series import Series

PEERS = {"mosec": "mosec", "LitServe": "litserve"}
TOLERANCE = 1e-4
NUM_CHECKED = 64


@dataclass(frozen=True)
class Contender:
    """`embed` returns the vectors of texts, `run` does the work once, `cpu_s` tells what its processes have used."""

    embed: Callable[[list[str]], np.ndarray]
    run: Callable[[], Mapping[str, float]]
    cpu_s: Callable[[], float]


def of_flow(flow: Flow, run: Callable[[], Mapping[str, float]]) -> Contender:
    """A Flow, and how it is sent the work."""

    def embed(texts: list[str]) -> np.ndarray:
        results = flow.post("/encode", texts, request_size=1)
        return np.asarray(results.embeddings, np.float32)

    return Contender(embed, run, lambda: cpu_s(flow.pids().values()))


def of_peer(server: Server, texts: Sequence[str], size: int, clients: int) -> Contender:
    """A peer's server, which is sent the texts by some clients, so many at once."""
    requests = [texts[at : at + size] for at in range(0, len(texts), size)]

    def embed(some: list[str]) -> np.ndarray:
        with server.awake():
            return np.concatenate(ask(server.port, [[text] for text in some], clients).embeddings)

    def run() -> Mapping[str, float]:
        with server.awake():
            return ask(server.port, requests, clients).rates()

    server.pause()
    return Contender(embed, run, server.cpu_s)


def start_peers(
    stack: contextlib.ExitStack, peers: Environment | None, model: str, env: Mapping[str, str]
) -> tuple[dict[str, Server], dict[str, str]]:
    """Start the peers with a model and their own batching; return those that run, and why others do not."""
    if peers is None:
        return {}, {"other frameworks": "peers were not asked for"}
    servers: dict[str, Server] = {}
    skipped = {"infinity": peers.missing["infinity"]}
    for name, peer in PEERS.items():
        try:
            if not peers.has(peer):
                raise RuntimeError(peers.missing[peer])
            servers[name] = stack.enter_context(peers.start(peer, model=model, batching=True, env=dict(env)))
            servers[name].pause()
        except RuntimeError as error:
            skipped[name] = " ".join(str(error).split())[-300:]
    return servers, skipped


class Beside:
    """Runs of contenders in turns.

    Args:
        bare: The library, in `bare_encoder.py`.
        texts: What it was given.
        batches: The batch sizes it is to work with, and how many texts it is given at once.
    """

    def __init__(self, bare: Program, texts: Sequence[str], batches: Mapping[int, int]) -> None:
        self._bare, self._texts, self._batches = bare, list(texts), batches
        self._checked = list(texts[:NUM_CHECKED])
        self._right = np.asarray(bare.ask({"embed": len(self._checked)})["embeddings"], np.float32)

    def check(self, name: str, contender: Contender) -> float:
        """Compare embeddings with the library's; return the greatest difference.

        Raises:
            RuntimeError: It is too great.
        """
        difference = float(np.abs(contender.embed(self._checked) - self._right).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"{name} gives other embeddings than the library: they differ by {difference:.2g}")
        return difference

    def _loops(self) -> dict[int, dict[str, Any]]:
        count = len(self._texts)
        return {
            batch: self._bare.ask({"size": size, "count": count, "batch": batch})
            for batch, size in self._batches.items()
        }

    def measure(
        self, rounds: int, contenders: Mapping[str, Contender], tell: Callable[[str], None]
    ) -> dict[str, Series]:
        """Return "name.unit" -> its numbers; "ratio 32" is docs/s over the library's with batches of 32.

        "cpu ratio 32" is the CPU time a document costs the library, over that which it costs the server.
        """
        found: defaultdict[str, list[float]] = defaultdict(list)
        names = list(contenders)
        before = self._loops()
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                contender = contenders[name]
                cpu_before = contender.cpu_s()
                got = contender.run()
                used_s = contender.cpu_s() - cpu_before
                after = self._loops()
                for unit, value in got.items():
                    found[f"{name}.{unit}"].append(value)
                for batch in self._batches:
                    # The mean of before and after: what the library would have taken in between.
                    seconds, bare_cpu_s = (
                        (before[batch][unit] + after[batch][unit]) / 2 for unit in ("seconds", "cpu_s")
                    )
                    found[f"{name}.ratio {batch}"].append(got["docs_per_s"] * seconds / len(self._texts))
                    found[f"{name}.cpu ratio {batch}"].append(bare_cpu_s / used_s)
                before = after
                tell(f"round {number + 1} of {rounds}: {name}, {got['docs_per_s']:.0f} docs/s")
        return {key: Series.of(values) for key, values in found.items()}
