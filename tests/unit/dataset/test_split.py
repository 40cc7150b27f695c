import math
from collections import Counter

import pytest

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.dataset.split import split
from dure.errors import ValidationError


def rows(*labels: str) -> list[LabelledText]:
    return [LabelledText(f"text {number}", label) for number, label in enumerate(labels)]


def test_every_row_is_in_one_part_and_labels_have_their_share() -> None:
    # Trap 14: rows sorted by label
    examples = rows(*["a"] * 80, *["b"] * 20)
    train, validation = split(examples, 0.8, 7)
    assert sorted(train + validation, key=examples.index) == examples
    assert Counter(row.label for row in validation) == {"a": 16, "b": 4}
    assert len({row.label for row in train[:10]}) == 2  # shuffled


def test_the_seed_alone_decides() -> None:
    examples = rows(*"ab" * 50)
    assert split(examples, 0.9, 3) == split(examples, 0.9, 3)
    assert split(examples, 0.9, 3) != split(examples, 0.9, 4)


def test_equal_texts_are_on_one_side() -> None:
    # Trap 11, also where the copies differ in white space and composition
    examples = [LabelledText(f"각 {number // 3}" + " " * (number % 3), "ab"[number % 2]) for number in range(300)]
    examples.append(LabelledText("각 0", "a"))  # decomposed
    train, validation = split(examples, 0.5, 0)
    assert {row.text.split()[1] for row in train}.isdisjoint(row.text.split()[1] for row in validation)
    assert 100 < len(validation) < 200


@pytest.mark.parametrize("seed", range(5))
def test_a_label_seen_once_is_trained_on(seed: int) -> None:
    # Trap 13
    train, validation = split(rows(*["a"] * 9, "b", "c"), 0.5, seed)
    assert {"b", "c"} <= {row.label for row in train}
    assert {row.label for row in validation} == {"a"}


def test_sentences_with_and_without_entities_are_shared_out_alike() -> None:
    # Trap 25
    examples = [TaggedText(str(n), (Span(0, 1, "X"),) if n % 4 == 0 else ()) for n in range(200)]
    _, validation = split(examples, 0.9, 0)
    assert sum(bool(row.entities) for row in validation) == 5
    assert len(validation) == 20


@pytest.mark.parametrize("rate", [0, 1, 2, -0.5, math.nan, math.inf])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    # Trap 13
    with pytest.raises(ValidationError, match=r"^train_rate=.* not between 0 and 1"):
        split(rows(*"ab" * 50), rate, 0)


@pytest.mark.parametrize(("rate", "told"), [(0.99, "nothing to validate"), (0.5, "nothing to validate")])
def test_a_part_that_would_be_empty_is_refused(rate: float, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        split(rows("a", "b", "c"), rate, 0)
