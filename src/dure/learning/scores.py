"""How good predictions are: accuracy and F1 of classes, strict F1 of entities.

Knows labels and spans, gold and predicted; nothing of models or files.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dure.dataset.example import Span
from dure.errors import ValidationError
from dure.learning.prediction import Entity


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good predictions of one label are.

    Args:
        precision: Share of what was predicted that is right; 0 where nothing was predicted but something should.
        recall: Share of what is there that was predicted; 0 where nothing is there but something was predicted.
        f1: Their harmonic mean; 1 of nothing predicted where nothing is.
        support: How often the label is there.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class ClassificationScores:
    """How good a classifier is.

    Args:
        accuracy: Share of the texts whose label is right.
        macro_f1: Mean of the F1 of the labels that are there or were predicted, each counted once however rare it is.
        labels: The labels, sorted: names of the rows and columns of `confusion`.
        per_label: Label -> its score.
        confusion: Rows: the label that is there; columns: the label that was predicted.
    """

    accuracy: float
    macro_f1: float
    labels: tuple[str, ...]
    per_label: dict[str, Score]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def main(self) -> float:
        """The one number that models are compared by."""
        return self.accuracy

    def headline(self) -> dict[str, float]:
        """Return the numbers that models are compared by, by name."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1}

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name, as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class EntityScores:
    """How good a tagger is. An entity is right if its start, its end and its type are (strict scoring, micro mean).

    Args:
        entity_f1: Harmonic mean of precision and recall of all entities.
        precision: Share of the predicted entities that are right.
        recall: Share of the entities that were found.
        per_type: Type -> its score.
        support: How many entities are there.
    """

    entity_f1: float
    precision: float
    recall: float
    per_type: dict[str, Score]
    support: int

    @property
    def main(self) -> float:
        """The one number that models are compared by."""
        return self.entity_f1

    def headline(self) -> dict[str, float]:
        """Return the numbers that models are compared by, by name."""
        return {"entity_f1": self.entity_f1, "precision": self.precision, "recall": self.recall}

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name, as JSON holds them."""
        return asdict(self)


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> ClassificationScores:
    """Compare labels.

    Args:
        gold: The labels that are there, one per text.
        predicted: Those that a model says.

    Raises:
        ValidationError: There are none, or not as many of the one as of the other.
    """
    _check_lengths(gold, predicted)
    pairs = Counter(zip(gold, predicted, strict=True))
    labels = tuple(sorted({*gold, *predicted}))
    there, said = Counter(gold), Counter(predicted)
    per_label = {label: _score(pairs[label, label], said[label], there[label]) for label in labels}
    return ClassificationScores(
        accuracy=sum(pairs[label, label] for label in labels) / len(gold),
        macro_f1=sum(score.f1 for score in per_label.values()) / len(labels),
        labels=labels,
        per_label=per_label,
        confusion=tuple(tuple(pairs[row, column] for column in labels) for row in labels),
    )


def entity_scores(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span | Entity]]) -> EntityScores:
    """Compare entities.

    Args:
        gold: The entities that are there, for each text.
        predicted: Those that a model found; how probable they are is not looked at.

    Raises:
        ValidationError: There are no texts, or not as many of the one as of the other.
    """
    _check_lengths(gold, predicted)
    there: Counter[str] = Counter()
    said: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for is_there, is_said in zip(gold, predicted, strict=True):
        truth, claim = _keys(is_there), _keys(is_said)
        there.update(key[2] for key in truth)
        said.update(key[2] for key in claim)
        right.update(key[2] for key in truth & claim)
    total = _score(right.total(), said.total(), there.total())
    return EntityScores(
        entity_f1=total.f1,
        precision=total.precision,
        recall=total.recall,
        per_type={kind: _score(right[kind], said[kind], there[kind]) for kind in sorted({*there, *said})},
        support=total.support,
    )


def _keys(spans: Iterable[Span | Entity]) -> set[tuple[int, int, str]]:
    return {(span.start, span.end, span.type) for span in spans}


def _score(right: int, said: int, there: int) -> Score:
    if said == there == 0:
        return Score(precision=1.0, recall=1.0, f1=1.0, support=0)
    return Score(
        precision=right / said if said else 0.0,
        recall=right / there if there else 0.0,
        f1=2 * right / (said + there),
        support=there,
    )


def _check_lengths(gold: Sequence[Any], predicted: Sequence[Any]) -> None:
    if not gold:
        raise ValidationError("there is nothing to compare: no texts")
    if len(gold) != len(predicted):
        raise ValidationError(f"{len(predicted)} predictions for {len(gold)} texts")
