"""The simplest encoder: all texts of a call as one padded batch. Which requests are merged is all that helps."""

from typing import Any

from dure import DocumentArray, Executor, requests


class PaddedEncoder(Executor):
    """Encodes whatever it is given at once, and counts how much of that was padding."""

    def __init__(self, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(model, device="cpu")
        self._model.max_seq_length = 512
        self._real = self._padded = 0

    @requests(on="/encode")
    def encode(self, docs: DocumentArray, **_kwargs: Any) -> None:
        lengths = [len(ids) for ids in self._model.tokenizer(docs.texts, truncation=True, max_length=512)["input_ids"]]
        self._real += sum(lengths)
        self._padded += max(lengths) * len(lengths)
        docs.embeddings = self._model.encode(docs.texts, batch_size=len(docs))

    @requests(on="/padding")
    def padding(self, docs: DocumentArray, **_kwargs: Any) -> dict[str, float]:
        """Tell the share of padding since this was asked last."""
        share = 1 - self._real / self._padded if self._padded else 0.0
        self._real = self._padded = 0
        return {"share": share}
