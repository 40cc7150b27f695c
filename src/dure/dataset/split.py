"""A data set in two parts: what a model learns from, and what it is judged by.

The parts depend on the rows, their order, the rate and the seed, and on nothing else. Equal texts are kept on one
side, since a model that has seen a text already is not judged by it.
"""

import math
import random
import unicodedata
from collections.abc import Sequence
from typing import Any, overload

from dure.dataset.example import LabelledText, TaggedText
from dure.errors import ValidationError

Labelled = list[LabelledText]
Tagged = list[TaggedText]


@overload
def split(examples: Sequence[LabelledText], train_rate: float, seed: int) -> tuple[Labelled, Labelled]: ...
@overload
def split(examples: Sequence[TaggedText], train_rate: float, seed: int) -> tuple[Tagged, Tagged]: ...
def split(examples: Sequence[Any], train_rate: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Return the part to train on and the part to validate on, both shuffled.

    Every label has its share in both parts as far as its rows allow; one that is seen once is trained on. Sentences
    with and without entities are shared out alike.

    Args:
        examples: The rows.
        train_rate: The share of the rows to train on, above 0 and below 1.
        seed: Another seed gives other parts.

    Raises:
        ValidationError: A rate that is no share, or that leaves one of the parts empty.
    """
    if not 0 < train_rate < 1:  # NaN is not, either
        raise ValidationError(
            f"train_rate={train_rate!r} is not between 0 and 1; 0.9 trains on nine rows of ten and validates on one"
        )
    chance = random.Random(seed)
    strata = _strata(examples, chance)
    kept = _kept(strata, round(len(examples) * (1 - train_rate)))
    train: list[Any] = []
    validation: list[Any] = []
    for name, groups in strata.items():
        left = kept[name]
        for number, group in enumerate(groups):
            # The last group is trained on whatever happens: a label that is only validated cannot be learnt.
            fits = len(group) <= left and number < len(groups) - 1
            (validation if fits else train).extend(group)
            left -= len(group) if fits else 0
    if not train or not validation:
        raise ValidationError(
            f"train_rate={train_rate!r} of {len(examples):,} rows leaves nothing to {'validate' if train else 'train'}"
            " on (labels that are seen once are trained on); give more rows, another rate, or a file to validate on"
        )
    chance.shuffle(train)
    chance.shuffle(validation)
    return train, validation


def same_text(text: str) -> str:
    """Return what two texts share that are read as the same: composed characters, white space made single."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _strata(examples: Sequence[Any], chance: random.Random) -> dict[str, list[list[Any]]]:
    """Return the groups of equal texts, shuffled, below what they are shared out by."""
    groups: dict[str, list[Any]] = {}
    for example in examples:
        groups.setdefault(same_text(example.text), []).append(example)
    strata: dict[str, list[list[Any]]] = {}
    for group in groups.values():
        first = group[0]
        name = first.label if isinstance(first, LabelledText) else str(bool(first.entities))
        strata.setdefault(name, []).append(group)
    for members in strata.values():
        chance.shuffle(members)
    return strata


def _kept(strata: dict[str, list[list[Any]]], total: int) -> dict[str, int]:
    """Return how many rows of each stratum are validated on: equal shares, rounded so that their sum is `total`."""
    rows = {name: sum(map(len, groups)) for name, groups in strata.items()}
    num_rows = sum(rows.values())
    shares = {name: total * count / num_rows if len(strata[name]) > 1 else 0.0 for name, count in rows.items()}
    kept = {name: math.floor(share) for name, share in shares.items()}
    by_rest = sorted((name for name in shares if shares[name]), key=lambda name: kept[name] - shares[name])
    for name in by_rest[: max(0, total - sum(kept.values()))]:
        kept[name] += 1
    return kept
