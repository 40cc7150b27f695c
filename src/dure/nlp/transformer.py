"""What turns token numbers into hidden states: one small class per backend, chosen here and nowhere else.

Knows the backends; knows nothing of texts, of pooling or of Documents.
"""

from pathlib import Path
from typing import Any, Protocol

from dure.device.context import Context
from dure.nlp.precision import Computing


class Transformer(Protocol):
    """A transformer on a device.

    Attributes:
        hidden_size: Numbers of a hidden state.
        max_tokens: Most tokens of a text.
        pad_id: The token that fills up a row.
    """

    hidden_size: int
    max_tokens: int
    pad_id: int

    def __call__(self, ids: Any, mask: Any) -> Any:
        """Return the hidden states, `(rows, tokens, hidden_size) float32`, where `ids` lives.

        All three are arrays of the backend's library: tensors for `torch`, numpy's for `onnx`.

        Args:
            ids: Token numbers, `(rows, tokens) int64`.
            mask: 1 where there is a token, 0 where there is padding, `(rows, tokens) int64`.
        """
        ...


def load_transformer(folder: Path, context: Context, computing: Computing) -> Transformer:
    """Load the transformer of a snapshot.

    Raises:
        SpecError: This backend, precision and device do not go together.
        ModelError: The weights do not fit the model's config.json, or cannot be exported.
        MissingDependency: A library of the backend is not installed.
    """
    computing.check(context)
    if computing.backend == "onnx":
        from dure.nlp.onnx_transformer import OnnxTransformer

        return OnnxTransformer(folder, computing)
    from dure.nlp.torch_transformer import TorchTransformer

    return TorchTransformer(folder, context, computing.precision)
