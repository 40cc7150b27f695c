import math

import pytest

from dure.dataset.example import Span, TaggedText
from dure.learning.prediction import Entity
from dure.learning.tagger_decoding import Decoding, best_decoding, score_loss

TEXTS = [TaggedText("Bob", (Span(0, 3, "PS"),))] * 40 + [TaggedText("so", ())] * 40


def entity(score: float, kind: str = "PS") -> Entity:
    return Entity("Bob", kind, 0, 3, score)


def predict(texts: list[str], decoding: Decoding) -> list[list[Entity]]:
    """Finds nothing when shy, Bobs and nothing else at 0.75, and too much above; scores are good at 1.5."""
    score = 0.5 + 0.4 / (1 + abs(decoding.temperature - 1.5))
    bob = [entity(score)] if decoding.boldness >= 0.75 else []
    so = [entity(1 - score)] if decoding.boldness > 1 else []
    return [bob if text == "Bob" else so for text in texts]


def test_the_best_boldness_and_the_most_honest_temperature_are_chosen() -> None:
    assert best_decoding(predict, TEXTS * 2) == Decoding(boldness=0.75, temperature=1.5)


def test_a_few_entities_choose_nothing() -> None:
    assert best_decoding(predict, TEXTS) == Decoding()
    assert best_decoding(predict, []) == Decoding()


def test_where_all_are_alike_nothing_changes() -> None:
    assert best_decoding(lambda texts, _: [[entity(0.5)] for _ in texts], TEXTS * 2) == Decoding()


@pytest.mark.parametrize(
    ("found", "loss"), [([], 0.0), ([entity(0.8)], -math.log(0.8)), ([entity(0.8, "LC")], -math.log(0.2))]
)
def test_loss_is_small_where_scores_are_honest(found: list[Entity], loss: float) -> None:
    assert score_loss([[Span(0, 3, "PS")]], [found]) == pytest.approx(loss)
