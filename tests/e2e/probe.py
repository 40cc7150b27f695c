"""An Executor that tells where it is. Imports little, since every worker of a test imports it."""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

from dure import Document, DocumentArray, Executor, batching, nd, requests
from dure.device.context import gpu
from dure.device.probe import inventory
from dure.device.simulated import simulated_device


class Probe(Executor):
    """Says where it is, and works there."""

    def __init__(self, device: str = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device = device
        self.served = 0

    @requests(on="/where")
    @batching(max_batch_size=1)
    def where(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.text = str(nd.ones(1, self.device).context) if self.device != "none" else "nowhere"
            doc.tags = {
                "pid": os.getpid(),
                "device": self.device,
                "visible": os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
                "gpus": len(inventory().gpus),
            }

    @requests(on="/double")
    @batching(max_batch_size=1)
    def double(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.to(self.device)
        docs.embeddings = docs.embeddings * 2

    @requests(on="/pid")
    @batching(max_batch_size=1)
    def pid(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.served += 1
        for doc in docs:
            doc.tags = {"pid": os.getpid(), "served": self.served}

    @requests(on="/sleep")
    @batching(max_batch_size=1)
    def sleep(self, docs: DocumentArray, **kwargs: Any) -> None:
        time.sleep(float(docs[0].text))

    @requests(on="/lose")
    def lose(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.served += 1
        time.sleep(0.2)
        simulated_device(0).lose()
        nd.ones(1, gpu())

    @requests(on="/lose_async")
    async def lose_async(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(0.05)
        self.lose(docs)

    @requests(on="/lose_parts")
    def lose_parts(self, docs: DocumentArray, **kwargs: Any) -> Iterator[Document]:
        yield docs[0]
        self.lose(docs)

    @requests(on="/raise")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        raise RuntimeError(docs[0].text)
