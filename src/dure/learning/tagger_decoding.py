"""How a trained tagger's weights become the best entities and honest scores: settings found on validation texts.

Knows how well scores agree with being right. Does not know how the tagger was trained.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dure.dataset.example import Span, TaggedText
from dure.learning.prediction import Entity
from dure.learning.scores import entity_scores

_BOLDNESS = (0.0, 0.25, -0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_TEMPERATURES = (1.0, 0.8, 1.25, 1.5, 1.8, 2.2)
_MIN_ENTITIES = 50  # fewer say too little of how to choose
_MAX_TEXTS = 1000


@dataclass(frozen=True, slots=True)
class Decoding:
    """How weights become entities.

    Args:
        boldness: Taken from the log weight of O before the best path is looked for: above 0 more entities are found.
        temperature: Log weights are divided by it for scores: above 1 where the field was too sure of itself.
    """

    boldness: float = 0.0
    temperature: float = 1.0


def best_decoding(
    predict: Callable[[list[str], Decoding], list[list[Entity]]], validation: Sequence[TaggedText]
) -> Decoding:
    """Choose the boldness with the best F1, then the temperature whose scores say best which entities are right.

    Args:
        predict: Finds entities under some decoding.
        validation: The first 1,000 of these are used; where they have under 50 entities nothing is changed.
    """
    some = validation[:_MAX_TEXTS]
    if sum(len(example.entities) for example in some) < _MIN_ENTITIES:
        return Decoding()
    texts, gold = [example.text for example in some], [example.entities for example in some]
    bold = [Decoding(boldness) for boldness in _BOLDNESS]
    best = max(bold, key=lambda decoding: entity_scores(gold, predict(texts, decoding)).entity_f1)
    warm = [replace(best, temperature=temperature) for temperature in _TEMPERATURES]
    return min(warm, key=lambda decoding: score_loss(gold, predict(texts, decoding)))


def score_loss(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Entity]]) -> float:
    """Return the mean log loss of scores as probabilities of being right; 0 where nothing was found."""
    losses = []
    for spans, entities in zip(gold, found, strict=True):
        true = {(span.start, span.end, span.type) for span in spans}
        for entity in entities:
            right = (entity.start, entity.end, entity.type) in true
            losses.append(-math.log(max(entity.score if right else 1 - entity.score, 1e-6)))
    return sum(losses) / len(losses) if losses else 0.0
