"""The n-grams that are known, and texts as bags of their numbers."""

import numpy as np
import pytest

from dure.learning import vocabulary as module
from dure.learning.ngrams import ngrams
from dure.learning.vocabulary import Bags, Vocabulary

TEXTS = [f"row {number} of {number % 7} 가{number % 5}" for number in range(300)]


def as_sets(bags: Bags) -> list[list[int]]:
    return [bags.ids[start:end].tolist() for start, end in zip(bags.starts, bags.starts[1:], strict=False)]


def test_what_is_kept_stands_in_so_many_texts_and_nothing_else() -> None:
    counts: dict[int, int] = {}
    for text in TEXTS:
        for found in set(ngrams([text]).hashes.tolist()):
            counts[found] = counts.get(found, 0) + 1
    known, _ = Vocabulary.of(TEXTS, min_count=3, max_size=10**6)
    assert known.keys.tolist() == sorted(key for key, count in counts.items() if count >= 3)


def test_bags_hold_every_known_ngram_of_a_text_once() -> None:
    known, bags = Vocabulary.of(TEXTS, min_count=2, max_size=10**6)
    for text, ids in zip(TEXTS, as_sets(bags), strict=True):
        assert known.keys[ids].tolist() == sorted(set(ngrams([text]).hashes.tolist()) & set(known.keys.tolist()))


def test_training_and_prediction_make_the_same_bags() -> None:
    known, bags = Vocabulary.of(TEXTS, min_count=2, max_size=400)
    assert len(known) == 400
    assert as_sets(known.bags(TEXTS)) == as_sets(bags)


def test_bags_do_not_depend_on_neighbours() -> None:
    known, bags = Vocabulary.of(TEXTS, min_count=2, max_size=10**6)
    for row in (0, 17, 299):
        assert as_sets(known.bags([TEXTS[row]])) == [as_sets(bags)[row]]


def test_take_gives_bags_in_the_order_asked_for() -> None:
    _, bags = Vocabulary.of([*TEXTS, ""], min_count=2, max_size=10**6)
    rows = np.array([300, 5, 0, 5])
    assert as_sets(bags.take(rows)) == [as_sets(bags)[row] for row in rows]


@pytest.mark.parametrize("texts", [[], [""], ["", "x", "👍"]])
def test_texts_of_which_nothing_is_known_are_empty_bags(texts: list[str]) -> None:
    for known in (Vocabulary.of(TEXTS, 2, 10**6)[0], Vocabulary(np.empty(0, np.uint64))):
        found = known.bags([text and f"{text}🦆" for text in texts])
        assert len(found.starts) == len(texts) + 1
    assert not len(found.ids)


def test_counting_much_forgets_what_was_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = Vocabulary.of(TEXTS, 30, 10**6)
    monkeypatch.setattr(module, "_MAX_COUNTED", 1000)
    monkeypatch.setattr(module, "chunks", lambda texts: (slice(at, at + 50) for at in range(0, len(texts), 50)))
    part, _ = Vocabulary.of(TEXTS, 30, 10**6)
    assert len(part) > 0.9 * len(whole)
    assert set(part.keys.tolist()) <= set(whole.keys.tolist())
