"""Texts to embeddings by any encoder of Hugging Face's format that is on this machine.

Takes the arguments of the Executor of this name on Jina's hub. Weights in safetensors alone, no code that comes with a
model, no network.
"""

from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from dure import DocumentArray, Executor, requests
from dure.errors import ModelError, SpecError
from dure.executor.endpoints import batching
from dure.nlp.length_groups import GroupLimits, group_by_length
from dure.nlp.snapshot import resolve

Pooling = Literal["mean", "min", "max", "cls"]
POOLINGS = ("mean", "min", "max", "cls")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")


class Parameters(TypedDict, total=False):
    """What a request may say."""

    traversal_paths: str
    batch_size: int


class TransformerTorchEncoder(Executor):
    """Sets the `embedding` of documents to that of their `text`, `(hidden size,) float32`.

    Args:
        pretrained_model_name_or_path: A folder, or a model's name; see `dure.nlp.snapshot.resolve`. A model that
            `dure hub build --model` put into an image is found by its name.
        base_tokenizer_model: Where the tokenizer is, if not with the model.
        pooling_strategy: How the tokens' vectors become one: `mean`, `min`, `max`, or `cls`, the first token's.
        layer_index: Of which layer: -1 is the last one, 0 the embeddings of the tokens themselves.
        max_length: Most tokens of a text, the rest is cut off; as the tokenizer says, if not given.
        embedding_fn_name: Method of the model that is called.
        device: Where the model lives: `cpu`, `cuda`, `cuda:1`.
        traversal_paths: Which documents: `r` the given ones, `c` their chunks, `m` their matches, `r,c` both.
        batch_size: Most texts that go through the model together; those of about the same length do.
        **kwargs: Those of `Executor`.

    Raises:
        SpecError: A setting that is not allowed.
        ModelNotFound: The model is in none of the places looked at.
        UnsafeModel: Its weights are pickled.
        ModelError: transformers cannot load it.
    """

    def __init__(  # noqa: PLR0913  (what a user may set)
        self,
        pretrained_model_name_or_path: str = "sentence-transformers/all-MiniLM-L6-v2",
        base_tokenizer_model: str | None = None,
        *,
        pooling_strategy: Pooling = "mean",
        layer_index: int = -1,
        max_length: int | None = None,
        embedding_fn_name: str = "__call__",
        device: str = "cpu",
        traversal_paths: str = "r",
        batch_size: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling_strategy not in POOLINGS:
            raise SpecError(f"uses_with.pooling_strategy: one of {', '.join(POOLINGS)}, not {pooling_strategy!r}")
        for name, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise SpecError(f"uses_with.{name}: a whole number from 1, not {value!r}")
        found = resolve(pretrained_model_name_or_path, files=("config.json",))
        found.verify()
        tokenizer = found.folder if base_tokenizer_model is None else _tokenizer_folder(base_tokenizer_model)
        self.device = torch.device(device)
        self.model, self.tokenizer = _load(found.folder, tokenizer)
        self.model = self.model.eval().to(self.device)
        if not callable(getattr(self.model, embedding_fn_name, None)):
            raise SpecError(f"uses_with.embedding_fn_name: {type(self.model).__name__} has no {embedding_fn_name!r}")
        self.call: Any = getattr(self.model, embedding_fn_name)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.pooling_strategy = pooling_strategy
        self.layer_index = _checked_layer(layer_index, self.model.config)
        self.max_length = _longest(max_length, self.tokenizer, self.model.config)
        self.traversal_paths, self.batch_size = traversal_paths, batch_size

    @requests
    @batching(max_batch_size=256)
    def encode(self, docs: DocumentArray, parameters: Parameters, **_: Any) -> None:
        """Embed the texts."""
        wanted = docs.traverse(parameters.get("traversal_paths", self.traversal_paths))
        if len(wanted):
            embeddings = self.embed(wanted.texts, parameters.get("batch_size", self.batch_size))
            for doc, embedding in zip(wanted, embeddings, strict=True):
                doc.embedding = embedding

    def embed(self, texts: list[str], batch_size: int) -> np.ndarray:
        """Return the embeddings of texts, `(texts, hidden size) float32`, in their order."""
        tokens = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        lengths = np.array([len(ids) for ids in tokens])
        limits = GroupLimits(max_waste=2**30, max_tokens=2**16, max_rows=batch_size)
        embeddings: np.ndarray | None = None
        with torch.inference_mode():
            for rows in group_by_length(lengths, limits):
                group = self.tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt")
                inputs = {name: group[name].to(self.device) for name in ("input_ids", "attention_mask")}
                layers = self.call(**inputs, output_hidden_states=True).hidden_states
                pooled = self._pool(layers[self.layer_index].float(), inputs["attention_mask"].unsqueeze(-1))
                if embeddings is None:
                    embeddings = np.empty((len(texts), pooled.shape[-1]), np.float32)
                embeddings[rows] = pooled.cpu().numpy()
        return np.empty((0, 0), np.float32) if embeddings is None else embeddings

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.pooling_strategy == "cls":
            return hidden[:, 0]
        if self.pooling_strategy == "mean":
            return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        if self.pooling_strategy == "max":
            return hidden.masked_fill(mask == 0, float("-inf")).amax(1)
        return hidden.masked_fill(mask == 0, float("inf")).amin(1)


def _load(folder: Path, tokenizer: Path) -> tuple[Any, Any]:
    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **here)
        return model, AutoTokenizer.from_pretrained(tokenizer, **here)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ModelError(f"{folder}: transformers cannot load it: {error}") from error


def _tokenizer_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = Path("models") / folder.name
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise SpecError(
            f"uses_with.base_tokenizer_model: {name!r}: no tokenizer in {folder} ({', '.join(TOKENIZERS)}): give the"
            " path of a folder"
        )
    return folder


def _checked_layer(index: int, config: Any) -> int:
    num_layers = int(getattr(config, "num_hidden_layers", 0)) + 1
    if not -num_layers <= index < num_layers:
        raise SpecError(f"uses_with.layer_index: from {-num_layers} to {num_layers - 1} in this model, not {index}")
    return index


def _longest(asked: int | None, tokenizer: Any, config: Any) -> int:
    known = int(getattr(config, "max_position_embeddings", None) or 2**31)
    longest = min(known, int(tokenizer.model_max_length))
    if asked is not None and asked > longest:
        raise SpecError(f"uses_with.max_length: the model takes at most {longest} tokens, not {asked}")
    return asked or longest
