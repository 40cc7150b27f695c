"""How a snapshot in the sentence-transformers format turns the tokens of a text into one embedding.

Reads modules.json and the files it names; knows which of their settings dure can follow, and refuses the others.
Source: the file formats of sentence-transformers 6.2 and 2.0 (https://sbert.net).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dure.errors import ModelError
from dure.nlp.snapshot import read_json

POOLINGS = ("mean", "cls", "max")
_OLD_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class SentenceConfig:
    """What follows the transformer.

    Args:
        pooling: How the token embeddings become one: `mean`, `cls` (the first token's) or `max`.
        normalize: Whether embeddings are scaled to length 1.
        max_length: Most tokens of a text, special tokens included; the rest is cut off.
        lowercase: Whether texts are put into lower case first.
    """

    pooling: str
    normalize: bool
    max_length: int
    lowercase: bool

    @classmethod
    def read(cls, folder: Path) -> "SentenceConfig":
        """Read the settings of a snapshot.

        Raises:
            ModelError: The model has a part, or a setting, that dure would have to ignore.
        """
        modules = _read(folder / "modules.json")
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]) or modules[0]["path"]:
            raise ModelError(
                f"{folder / 'modules.json'}: dure runs a Transformer (not in a folder of its own), a Pooling and then,"
                f" if there is one, Normalize; this model is {', '.join(kinds)}. Use sentence-transformers in an"
                " Executor of your own for it."
            )
        _refuse_prompt(folder / "config_sentence_transformers.json")
        told = _read(next(iter(sorted(folder.glob("sentence_*_config.json"))), None))
        return cls(
            pooling=_pooling(folder / modules[1]["path"] / "config.json"),
            normalize=len(kinds) == 3,
            max_length=told.get("max_seq_length") or _longest(folder),
            lowercase=bool(told.get("do_lower_case", False)),
        )


def _pooling(path: Path) -> str:
    told = _read(path)
    modes = told.get("pooling_mode") or [name for key, name in _OLD_POOLINGS.items() if told.get(key)]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if len(modes) > 1 or modes[0] not in POOLINGS:
        raise ModelError(f"{path}: dure pools by one of {', '.join(POOLINGS)}, not by {' and '.join(modes)}.")
    return str(modes[0])


def _refuse_prompt(path: Path) -> None:
    prompt = _read(path).get("default_prompt_name")
    if prompt is not None:
        raise ModelError(f"{path}: the model puts its prompt {prompt!r} before every text, which dure does not do.")


def _longest(folder: Path) -> int:
    """Return what tokenizer and transformer can take, where the model does not say how much it should be."""
    limits = (
        _read(folder / "tokenizer_config.json").get("model_max_length"),
        _read(folder / "config.json").get("max_position_embeddings"),
    )
    known = [int(limit) for limit in limits if limit]
    if not known:
        raise ModelError(f"{folder}: no file says how many tokens the model takes; pass max_length.")
    return min(known)


def _read(path: Path | None) -> Any:
    return read_json(path) if path is not None and path.is_file() else {}
