"""The tutorial's Executor: sentence-transformers, 32 texts at a time, a Document after the other.

Runs in a worker. Written as the tutorial "Executors on GPU" (Jina, 2021) has it, but for where the model's files are.
"""

from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.device.library import torch_device
from dure.executor.base import Executor
from dure.executor.endpoints import requests

if TYPE_CHECKING:
    from dure.document.array import DocumentArray

BATCH_SIZE = 32


class TutorialEncoder(Executor):
    """Sets the `embedding` of every document, the way of the tutorial.

    Args:
        model: A folder with a model in the sentence-transformers format.
        device: Where the model lives: `cpu`, `cuda:1`.
        **kwargs: Those of `Executor`.

    Raises:
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        MissingDependency: The extra `models` is not installed.
    """

    def __init__(self, model: str, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._torch = require("torch", "models")
        library = require("sentence_transformers", "models")
        name = torch_device(device)
        self.model = library.SentenceTransformer(model, device=name, local_files_only=True)
        self.model.to(name).float()  # weights that were stored in half precision are to give the same work

    @requests(on="/encode")
    def encode(self, docs: "DocumentArray", **_: Any) -> None:
        """Set the embeddings, one document after the other."""
        with self._torch.no_grad():
            embeddings = self.model.encode(docs.texts, batch_size=BATCH_SIZE)
        for doc, embedding in zip(docs, embeddings, strict=True):
            doc.embedding = embedding
