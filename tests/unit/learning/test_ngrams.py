"""Texts as hashes of n-grams: the same for the same text wherever it stands, and for every text there is."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest

from dure.learning.ngrams import CHUNK_CHARACTERS, MAX_CHARACTERS, chunks, ngrams

ODD = [
    "",
    " ",
    "a",
    "굳",
    "ㅋㅋㅋ",
    "ㅠ",
    "\0",
    "\ud800",
    "👍🏽",
    "İ",
    "a\tb\nc",
    "가",
    "the card, the card",
    "x" * 300,
]


def hashes(text: str) -> list[int]:
    return [int(found) for found in np.sort(ngrams([text]).hashes)]


def test_a_text_gives_the_same_numbers_alone_and_among_others() -> None:
    rows, found = ngrams(ODD)
    for row, text in enumerate(ODD):
        assert np.sort(found[rows == row]).tolist() == hashes(text)


def test_another_process_gives_the_same_numbers() -> None:
    text = "정말 재미있는 영화 movie 👍"
    code = f"from dure.learning.ngrams import ngrams; print(int(ngrams([{text!r}]).hashes.sum()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert int(told.stdout) == int(ngrams([text]).hashes.sum())


def test_decomposed_and_composed_hangul_case_and_blanks_are_one() -> None:
    text = "각별한 Card 였다"
    assert hashes(unicodedata.normalize("NFD", text)) == hashes(text)
    assert hashes("  각별한\ncard\t였다 ") == hashes(text)


@pytest.mark.parametrize(("one", "other"), [("not good", "good not"), ("가나", "가너"), ("ab", "ba"), ("aa", "aaa")])
def test_texts_that_differ_give_different_numbers(one: str, other: str) -> None:
    assert set(hashes(one)) != set(hashes(other))


def test_syllables_that_share_letters_share_numbers() -> None:
    assert len(set(hashes("강산")) & set(hashes("강삼"))) == len(set(hashes("강")) & set(hashes("강산"))) + 1


def test_hashes_do_not_collide_and_are_spread() -> None:
    found = np.unique(ngrams([f"{number} sheep" for number in range(5000)]).hashes)
    counts = np.bincount((found >> np.uint64(56)).astype(np.int64), minlength=256)
    assert counts.min() > 0.5 * counts.mean()
    assert counts.max() < 1.5 * counts.mean()


def test_of_a_long_text_the_beginning_counts() -> None:
    text = "".join(chr(0xAC00 + at % 5000) for at in range(MAX_CHARACTERS))
    assert hashes(text + "더" * 980_000) == hashes(text)
    assert hashes("더" + text[1:]) != hashes(text)


def test_chunks_are_all_texts_and_none_is_large() -> None:
    texts = ["a" * 1_000_000, "", "b", *["c" * 9_000] * 50]
    found = list(chunks(texts))
    assert [text for chunk in found for text in texts[chunk]] == texts
    assert all(sum(min(len(t), MAX_CHARACTERS) for t in texts[chunk]) <= CHUNK_CHARACTERS for chunk in found)
    assert list(chunks([])) == []
