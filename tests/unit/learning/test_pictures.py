"""Pictures are drawn for real and looked at: their size, and whether there is ink where something should be."""

import struct

import pytest

from dure.learning.pictures import MAX_CONFUSED, bars, confusion, learning_curve, reliability_diagram
from dure.learning.progress import Progress
from dure.learning.reliability import reliability
from dure.learning.scores import classification_scores

pytest.importorskip("matplotlib")


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_more_labels_make_larger_pictures_up_to_a_bound() -> None:
    heights = []
    for count in (2, 20, 77):
        labels = [f"label {n}" for n in range(count)]
        scores = classification_scores(labels * 2, [*labels, *labels[1:], labels[0]])
        heights.append((size(confusion(scores))[1], size(bars(scores.per_label))[1]))
    confusions, lengths = zip(*heights, strict=True)
    assert confusions[0] < confusions[1] < confusions[2] < 120 * (0.32 * MAX_CONFUSED + 4)
    assert lengths[0] < lengths[1] < lengths[2]


def test_labels_of_every_script_are_drawn_without_a_warning() -> None:
    # Warnings are errors: matplotlib warns where it draws a box for want of a glyph.
    labels = ["생활문화", "IT과학", "กขค", "a$b$c", "tab\there"]
    scores = classification_scores(labels, labels)
    assert size(confusion(scores))[0] > 200
    assert size(bars(scores.per_label))[0] > 200


def test_a_learning_curve_with_and_without_scores() -> None:
    history = [
        Progress(step=n, num_steps=9, epoch=1, loss=1 / n, score=n / 10 if n % 3 == 0 else None) for n in range(1, 10)
    ]
    assert learning_curve(history) != learning_curve(history[:2])


def test_a_reliability_diagram() -> None:
    assert size(reliability_diagram(reliability([0.9, 0.8], [True, False])))[0] > 200
