"""The Executor that turns texts into embeddings.

Knows Documents and devices; how a text becomes numbers is `sentence_model.py`'s, where the model's files are is
`snapshot.py`'s.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dure.device.context import Context, parse_context
from dure.device.library import torch_device
from dure.errors import SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import batching, requests
from dure.nlp.fidelity import SENTENCES, compare
from dure.nlp.onnx_file import carried, carried_name
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel
from dure.nlp.snapshot import SENTENCE_FILES, resolve

if TYPE_CHECKING:
    from dure.document.array import DocumentArray


class SentenceEncoder(Executor):
    """Sets the `embedding` of every document to that of its `text`, `(dimension,) float32`.

    A document without text gets the embedding of the empty text. Requests are merged into calls of up to 256 documents;
    within a call, texts of about the same length go through the model together.

    Args:
        model: A folder, or the name of a model in the sentence-transformers format; see `dure.nlp.snapshot.resolve`.
        device: Where the model lives: `cpu`, `cuda`, `cuda:1`.
        batch_size: Most texts that go through the model together; as the device likes it, if not given.
        normalize: Whether embeddings have length 1; as the model says, if not given.
        max_length: Most tokens of a text, the rest is cut off; as the model says, if not given.
        allow_download: Whether a model that is not on this machine may be fetched from the Hugging Face Hub.
        backend: `torch`, or `onnx`: ONNX Runtime on the CPU, from a file that is made on first use, or that the
            snapshot carries (`dure hub build --onnx`): then neither PyTorch nor transformers is needed.
        precision: In which numbers the model computes: `fp32`; `bf16`; `fp16` on a GPU; `int8` on a CPU.
        cache_folder: Where the file for `onnx` is kept; `$XDG_CACHE_HOME/dure/onnx` (`~/.cache`), if not given.
        **kwargs: Those of `Executor`.

    Attributes:
        snapshot: The model's files, and where they were found.
        least_cosine: Of 32 sentences, the least cosine between an embedding and that of PyTorch in fp32: measured at
            the start, and 1 where it is PyTorch in fp32 that runs. A snapshot that carries an ONNX file tells it.

    Raises:
        SpecError: A setting that is not allowed, or not on this device.
        ModelNotFound: The model is in none of the places looked at.
        UnsafeModel: Its weights are pickled, or are not those that were published.
        ModelError: It cannot be followed exactly.
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        MissingDependency: The extra `models` is not installed, or for the backend `onnx` the extra `onnx`.
    """

    def __init__(  # noqa: PLR0913  (what a user may set)
        self,
        model: str = "all-MiniLM-L6-v2",
        device: str = "cpu",
        *,
        batch_size: int | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        allow_download: bool = False,
        backend: str = "torch",
        precision: str = "fp32",
        cache_folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _require_positive("batch_size", batch_size)
        _require_positive("max_length", max_length)
        # What is quick to find wrong comes before the libraries, which take seconds to import.
        context = parse_context(device)
        computing = Computing(backend, precision, cache_folder)
        computing.check(context)
        instead = carried_name(precision) if backend == "onnx" else ""
        self.snapshot = snapshot = resolve(model, files=SENTENCE_FILES, allow_download=allow_download, instead=instead)
        config = SentenceConfig.read(snapshot.folder)
        if normalize is not None:
            config = replace(config, normalize=normalize)
        if max_length is not None:
            config = replace(config, max_length=max_length)
        # On a second core, the weights are checked while PyTorch is imported and asked for the device.
        with ThreadPoolExecutor(1, "verify-weights") as pool:
            verified = pool.submit(snapshot.verify)
            if backend == "torch":
                torch_device(context)
            verified.result()
        self._model = SentenceModel(snapshot.folder, config, context, batch_size, computing)
        self._model.encode(["The first call of a model is slow: this is it."])
        self.least_cosine = self._least_cosine(config, context, computing)
        self.logger.debug("%s from %s on %s", model, snapshot.origin, context)

    @requests(on="/encode")
    @batching(max_batch_size=256)
    def encode(self, docs: "DocumentArray", **_: Any) -> None:
        """Set `docs.embeddings`."""
        docs.embeddings = self._model.encode(docs.texts)

    def _least_cosine(self, config: SentenceConfig, context: Context, computing: Computing) -> float:
        if (computing.backend, computing.precision) == ("torch", "fp32"):
            return 1.0
        known = carried(self.snapshot.folder, computing.precision) if computing.backend == "onnx" else None
        if known is not None and known.least_cosine is not None:
            return known.least_cosine  # PyTorch may not be here
        reference = SentenceModel(self.snapshot.folder, config, context)
        found = compare(self._model.encode(SENTENCES), reference.encode(SENTENCES))
        told = "%s by %s: cosine to fp32 over %d sentences: least %.4f, mean %.4f"
        self.logger.info(told, computing.precision, computing.backend, len(SENTENCES), found.least, found.mean)
        return found.least


def _require_positive(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise SpecError(f"uses_with.{name}: a whole number from 1, not {value!r}")
