import json
import re

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.dataset.problems import Problem
from dure.dataset.report import report


def test_a_report_of_classified_texts() -> None:
    # Traps 11 and 12
    train = [LabelledText("가" * n, "많음") for n in range(1, 21)] + [
        LabelledText("가", "적음"),
        LabelledText("가", "적음"),
    ]
    validation = [LabelledText("가나", "많음"), LabelledText("가 ", "많음"), LabelledText("새", "모름")]
    found = report(train, validation, [Problem("white space round the label", "taken off", 3)])
    assert found.train.labels == {"많음": 20, "적음": 2}
    assert (found.train.lengths.min, found.train.lengths.median, found.train.lengths.p95) == (1, 9, 19)
    assert (found.duplicates, found.contradictions, found.leaks, found.unlearnt) == (2, 1, 1, ("모름",))
    text = re.sub(" +", " ", found.text())
    for told in (
        "characters, max 20 2",
        "label 많음 20 2",
        "labels are uneven, 10 to 1",
        "2 rows repeat",
        "1 texts mean different things",
        "1 rows to validate on are trained on as well",
        "never trained on: 모름",
        "line 3: white space round the label; taken off",
    ):
        assert told in text
    assert json.loads(json.dumps(found.as_dict()))["train"]["rows"] == 22


def test_a_report_of_sentences() -> None:
    # Traps 25 and 26
    train = [TaggedText("Ada left", (Span(0, 3, "PER"),)), TaggedText("nobody", ())]
    found = report(train, [TaggedText("in Seoul", (Span(3, 8, "LOC"),))])
    assert found.task == "ner"
    assert (found.train.without_entities, found.unlearnt) == (1, ("LOC",))
    assert "without an entity 1 0" in re.sub(" +", " ", found.text())


def test_a_report_of_nothing() -> None:
    assert report([], []).train.lengths.max == 0


def test_many_labels_and_problems_are_cut() -> None:
    rows = [LabelledText(f"text {n}", f"label {n}") for n in range(77)]
    text = report(rows, [], [Problem("what", "remedy", n) for n in range(1, 41)]).text()
    assert "… and 47 more" in text
    assert "… and 20 more problems" in text
