import pytest

from dure.dataset.example import Span
from dure.errors import ValidationError
from dure.learning.scores import classification_scores, entity_scores


def test_scores_of_classes() -> None:
    scores = classification_scores(["a", "a", "a", "b", "c"], ["a", "a", "b", "b", "a"])
    assert scores.accuracy == scores.main == 3 / 5
    assert scores.labels == ("a", "b", "c")
    assert scores.confusion == ((2, 1, 0), (0, 1, 0), (1, 0, 0))
    assert (scores.per_label["a"].precision, scores.per_label["a"].recall) == (2 / 3, 2 / 3)
    assert (scores.per_label["b"].precision, scores.per_label["b"].recall) == (1 / 2, 1)
    assert scores.per_label["c"].f1 == 0.0
    assert scores.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_they_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    gold, said = list("abcabcaabbddc"), list("abcbbcaaabdac")
    scores = classification_scores(gold, said)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(gold, said))
    assert scores.macro_f1 == pytest.approx(metrics.f1_score(gold, said, average="macro"))
    assert [list(row) for row in scores.confusion] == metrics.confusion_matrix(gold, said).tolist()


def test_an_entity_is_right_only_if_its_place_and_its_type_are() -> None:
    gold = [[Span(0, 3, "PS"), Span(5, 9, "LC")], [Span(0, 2, "PS")], []]
    said = [[Span(0, 3, "PS"), Span(5, 8, "LC")], [Span(0, 2, "OG")], [Span(1, 2, "PS")]]
    scores = entity_scores(gold, said)
    assert (scores.precision, scores.recall) == (1 / 4, 1 / 3)
    assert scores.entity_f1 == scores.main == pytest.approx(2 / 7)
    assert scores.support == 3
    assert scores.per_type["PS"].f1 == 0.5
    assert scores.per_type["OG"].support == 0


def test_nothing_found_where_nothing_is() -> None:
    assert entity_scores([[], []], [[], []]).entity_f1 == 1.0
    assert entity_scores([[]], [[Span(0, 1, "PS")]]).entity_f1 == 0.0
    assert entity_scores([[Span(0, 1, "PS")]], [[]]).entity_f1 == 0.0


def test_nothing_to_compare() -> None:
    with pytest.raises(ValidationError, match="nothing to compare"):
        classification_scores([], [])
    with pytest.raises(ValidationError, match="1 predictions for 2 texts"):
        classification_scores(["a", "b"], ["a"])
