import json

import pytest

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.errors import ValidationError
from dure.learning.evaluation import evaluate
from dure.learning.prediction import Entity
from dure.learning.scores import ClassificationScores, EntityScores
from tests.unit.learning.told_model import ToldClassifier, ToldTagger

LABELLED = [LabelledText("a", "x", line=1), LabelledText("b", "y", line=2), LabelledText("c", "z", line=3)]


def test_a_classifier() -> None:
    model = ToldClassifier({"a": ("x", 0.9), "b": ("x", 0.6), "c": ("y", 0.8)})
    done: list[int] = []
    found = evaluate(model, LABELLED, report=done.append)
    assert isinstance(found.scores, ClassificationScores)
    assert found.scores.accuracy == pytest.approx(1 / 3)
    assert [(one.line, one.gold, one.predicted, one.score) for one in found.mistakes] == [
        (3, "z", "y", 0.8),
        (2, "y", "x", 0.6),
    ]
    assert found.unknown == ("z",)  # trap 10: a label that the model has never seen
    assert done == [3]


def test_a_tagger() -> None:
    rows = [TaggedText("Ada met Bob", (Span(0, 3, "PER"), Span(8, 11, "PER"))), TaggedText("nobody", ())]
    said = {"Ada met Bob": [Entity("Ada", "PER", 0, 3, 0.9), Entity("met Bob", "PER", 4, 11, 0.4)], "nobody": []}
    found = evaluate(ToldTagger(said), rows)
    assert isinstance(found.scores, EntityScores)
    assert found.scores.entity_f1 == pytest.approx(0.5)
    (mistake,) = found.mistakes
    assert mistake.gold == (Span(8, 11, "PER"),)
    assert isinstance(mistake.predicted, tuple)
    assert [entity.text for entity in mistake.predicted] == ["met Bob"]
    assert sum(one.count for one in found.reliability.bins) == 2


def test_plain_values_hold_no_texts() -> None:
    # Trap 36
    model = ToldClassifier({"a": ("y", 0.9), "b": ("x", 0.6), "c": ("y", 0.8)})
    values = evaluate(model, LABELLED).as_dict()
    assert values["accuracy"] == 0
    assert {"macro_f1", "rows", "elapsed_time_s", "texts_per_s", "reliability"} <= values.keys()
    assert "mistakes" not in values
    json.dumps(values)


def test_examples_of_the_other_task_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs texts with entities"):
        evaluate(ToldTagger({}), LABELLED)
    with pytest.raises(ValidationError, match="needs texts with labels"):
        evaluate(ToldClassifier({}), [])
