"""A model held against texts whose labels or entities are known: scores, time, and the mistakes worth looking at.

Knows models and examples; not where either comes from, nor how the result is shown.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from dure.dataset.dataset import Task
from dure.dataset.example import LabelledText, Span, TaggedText
from dure.errors import ValidationError
from dure.learning.kinds import Examples
from dure.learning.model import Model
from dure.learning.prediction import Classification, Entity
from dure.learning.reliability import Reliability, reliability
from dure.learning.scores import ClassificationScores, EntityScores, classification_scores, entity_scores

MAX_MISTAKES = 20
_TEXTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A text that the model has wrong.

    Args:
        text: The text.
        line: The line of its file, from 1; 0 where there is none.
        gold: What is there: its label, or the entities that were missed.
        predicted: What the model said: another label, or entities that are not there.
        score: How sure the model was: of its label, or of its surest wrong entity.
    """

    text: str
    line: int
    gold: str | tuple[Span, ...]
    predicted: str | tuple[Entity, ...]
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How good a model is on some texts.

    Args:
        task: What the model does.
        scores: Accuracy and macro F1 of labels, or strict F1 of entities, with one score for each label or type.
        rows: Texts that were predicted.
        elapsed_time_s: Seconds that the predictions took; loading the model is not in it.
        reliability: Whether the model's scores are probabilities.
        mistakes: The wrong predictions that the model was surest of, at most `MAX_MISTAKES`.
        unknown: Labels or types of these texts that the model does not know: it cannot have them right.
    """

    task: Task
    scores: ClassificationScores | EntityScores
    rows: int
    elapsed_time_s: float
    reliability: Reliability
    mistakes: tuple[Mistake, ...]
    unknown: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name, as JSON holds them: the scores first, the mistakes (which hold texts) left out."""
        values = asdict(self)
        del values["mistakes"]
        scores = values.pop("scores")
        return {**scores, **values, "texts_per_s": self.rows / self.elapsed_time_s if self.elapsed_time_s else None}


def evaluate(
    model: Model,
    examples: Examples,
    *,
    batch_size: int | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Predict texts, and compare with what is there.

    Args:
        model: A model.
        examples: Texts with labels for a classifier, with entities for a tagger; none that it was trained on.
        batch_size: Texts of one pass; None: what is good for this kind of model.
        report: Told now and then how many texts are done.

    Raises:
        ValidationError: No examples, or those of another task than the model's.
    """
    wanted = LabelledText if model.task == "tc" else TaggedText
    if not examples or not isinstance(examples[0], wanted):
        what = "labels" if model.task == "tc" else "entities"
        raise ValidationError(f"the model needs texts with {what} to be evaluated; these are {len(examples)} others")
    texts = [example.text for example in examples]
    predicted: list[Any] = []
    elapsed_time_s = 0.0
    for at in range(0, len(texts), _TEXTS_AT_ONCE):
        began = time.perf_counter()
        predicted += model.predict(texts[at : at + _TEXTS_AT_ONCE], batch_size)
        elapsed_time_s += time.perf_counter() - began
        report(len(predicted))
    if model.task == "tc":
        labelled = cast("Sequence[LabelledText]", examples)
        parts = _of_labels(labelled, predicted)
        there = {example.label for example in labelled}
    else:
        tagged = cast("Sequence[TaggedText]", examples)
        parts = _of_entities(tagged, predicted)
        there = {span.type for example in tagged for span in example.entities}
    scores, sureness, mistakes = parts
    return Evaluation(
        task=model.task,
        scores=scores,
        rows=len(examples),
        elapsed_time_s=elapsed_time_s,
        reliability=sureness,
        mistakes=tuple(sorted(mistakes, key=lambda mistake: -mistake.score)[:MAX_MISTAKES]),
        unknown=tuple(sorted(there - set(model.labels))),
    )


_Parts = tuple[ClassificationScores | EntityScores, Reliability, list[Mistake]]


def _of_labels(examples: Sequence[LabelledText], predicted: Sequence[Classification]) -> _Parts:
    scores = classification_scores([example.label for example in examples], [found.label for found in predicted])
    pairs = list(zip(examples, predicted, strict=True))
    sureness = reliability([found.score for _, found in pairs], [one.label == found.label for one, found in pairs])
    mistakes = [
        Mistake(text=one.text, line=one.line, gold=one.label, predicted=found.label, score=found.score)
        for one, found in pairs
        if one.label != found.label
    ]
    return scores, sureness, mistakes


def _of_entities(examples: Sequence[TaggedText], predicted: Sequence[list[Entity]]) -> _Parts:
    scores = entity_scores([example.entities for example in examples], predicted)
    sure: list[float] = []
    right: list[bool] = []
    mistakes = []
    for example, found in zip(examples, predicted, strict=True):
        truth = set(example.entities)
        wrong = tuple(entity for entity in found if _span(entity) not in truth)
        missed = tuple(sorted(truth - {_span(entity) for entity in found}, key=lambda span: span.start))
        sure += [entity.score for entity in found]
        right += [_span(entity) in truth for entity in found]
        if wrong or missed:
            score = max((entity.score for entity in wrong), default=0.0)
            mistakes.append(Mistake(text=example.text, line=example.line, gold=missed, predicted=wrong, score=score))
    return scores, reliability(sure, right), mistakes


def _span(entity: Entity) -> Span:
    return Span(entity.start, entity.end, entity.type)
