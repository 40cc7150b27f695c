"""Cosines between embeddings, by hand, and the sentences they are measured on."""

import numpy as np
import pytest

from dure.nlp.fidelity import SENTENCES, compare


def test_the_least_and_the_mean() -> None:
    expected = np.asarray([[1, 0], [0, 2], [3, 4]], np.float32)
    found = np.asarray([[5, 0], [0, 1], [4, 3]], np.float32)  # longer, shorter, and one at an angle: 24 / 25
    alike = compare(found, expected)
    assert alike.least == pytest.approx(0.96)
    assert alike.mean == pytest.approx(2.96 / 3)


def test_the_sentences_are_of_many_lengths() -> None:
    lengths = sorted(len(sentence.split()) for sentence in SENTENCES)
    assert len(set(SENTENCES)) == 32
    assert lengths[0] == 1
    assert 40 <= lengths[-1] <= 60
    assert len(set(lengths)) >= 10
