from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dure.bench import load_texts
from dure.errors import SpecError

RNG = np.random.default_rng
WORDS = ["many hands make", "light work"]


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one\n\n  \nzwei, drei\n네\n", encoding="utf-8")
    assert load_texts.lines_of(path) == ["one", "zwei, drei", "네"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_texts_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"texts: .*texts\.txt"):
        load_texts.lines_of(path)


def test_mixed_lengths_are_all_there_and_equally_often() -> None:
    lengths = Counter(len(text.split()) for text in load_texts.mixed(WORDS, (2, 6), 5000, RNG(0)))
    assert sorted(lengths) == [2, 3, 4, 5, 6]
    assert min(lengths.values()) > 850
    assert load_texts.mixed(WORDS, (2, 6), 5, RNG(1)) == load_texts.mixed(WORDS, (2, 6), 5, RNG(1))


@pytest.mark.parametrize("bounds", [(0, 3), (5, 4)])
def test_lengths_out_of_order_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match="no range of lengths"):
        load_texts.mixed(WORDS, bounds, 1, RNG(0))


def test_every_text_is_sent() -> None:
    texts = [str(number) for number in range(10)]
    requests = load_texts.requests_of(texts, 4, RNG(0))
    assert [len(request) for request in requests] == [4, 4, 4]
    assert {text for request in requests for text in request} == set(texts)
    assert len(load_texts.requests_of(["one"], 3, RNG(0))[0]) == 3
    many = load_texts.requests_of([str(number) for number in range(5000)], 1, RNG(0))
    assert len(many) == load_texts.NUM_REQUESTS
