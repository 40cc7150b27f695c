import re
from pathlib import Path

import pytest

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.learning.evaluation import evaluate
from dure.learning.evaluation_page import write_evaluation
from dure.learning.prediction import Entity
from dure.learning.progress import Progress
from tests.unit.learning.told_model import ToldClassifier, ToldTagger

pytest.importorskip("matplotlib")


def test_a_page_of_a_classifier(tmp_path: Path) -> None:
    said = {"<b>good</b>": ("긍정", 0.9), "bad": ("긍정", 0.8), "fine": ("긍정", 0.7)}
    rows = [LabelledText("<b>good</b>", "부정", line=1), LabelledText("bad", "부정"), LabelledText("fine", "긍정")]
    history = [Progress(step=1, num_steps=1, epoch=1, loss=1.0, score=0.5)]
    files = write_evaluation(evaluate(ToldClassifier(said), rows), tmp_path / "new", "m@1 <on> a.tsv", history)
    names = ["evaluation.html", "per_label.png", "confusion.png", "reliability.png", "learning_curve.png"]
    assert [path.name for path in files] == names
    page = files[0].read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert "m@1 &lt;on&gt; a.tsv" in page
    assert "&lt;b&gt;good" in page
    assert "<b>good" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # one file, no network


def test_a_page_of_a_tagger(tmp_path: Path) -> None:
    rows = [TaggedText("Ada met Bob", (Span(0, 3, "PER"),)), TaggedText("nobody", ())]
    said = {"Ada met Bob": [Entity("Bob", "PER", 8, 11, 0.9)], "nobody": []}
    files = write_evaluation(evaluate(ToldTagger(said), rows), tmp_path, "m@1")
    assert [path.name for path in files] == ["evaluation.html", "per_type.png", "reliability.png"]
    page = files[0].read_text(encoding="utf-8")
    assert ">Ada<small> PER</small></mark> met Bob" in page
    assert ">Bob<small> PER</small></mark>" in page


def test_a_page_of_nothing_found(tmp_path: Path) -> None:
    # Trap 25
    files = write_evaluation(evaluate(ToldTagger({"a": []}), [TaggedText("a", ())]), tmp_path, "m@1")
    assert [path.name for path in files] == ["evaluation.html"]
