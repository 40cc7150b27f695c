import pytest

from dure.dataset.example import Span
from dure.dataset.tags import Scheme, scheme_of, spans_of, tags_of
from dure.errors import ValidationError

TOKENS = ["Ada", "Lovelace", "met", "Bob", "in", "New", "York"]
ENTITIES = (Span(0, 12, "PER"), Span(17, 20, "PER"), Span(24, 32, "LOC"))


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-PER I-PER O B-PER O B-LOC I-LOC", "bio"),
        ("I-PER I-PER O I-PER O I-LOC I-LOC", "iob1"),
        ("B-PER E-PER O S-PER O B-LOC E-LOC", "bioes"),
        ("B-PER L-PER O U-PER O B-LOC L-LOC", "bioes"),
        ("PER_B PER_I - PER_B - LOC_B LOC_I", "bio"),  # Trap 21: the place behind, and a bare dash
    ],
)
def test_every_scheme_means_the_same_entities(tags: str, scheme: Scheme) -> None:
    assert scheme_of([tags.split()]) == scheme
    assert spans_of(TOKENS, tags.split(), scheme=scheme) == (" ".join(TOKENS), ENTITIES, [])


def test_entities_side_by_side_stay_two() -> None:
    # Trap 22
    _, spans, problems = spans_of(["A", "B", "C"], ["B-X", "B-X", "I-X"])
    assert spans == (Span(0, 1, "X"), Span(2, 5, "X"))
    assert problems == []
    tags = ["I-X", "B-X", "I-X", "O", "I-X"]
    assert scheme_of([tags]) == "iob1"
    assert spans_of(list("ABCDE"), tags, "", scheme="iob1")[1] == (Span(0, 1, "X"), Span(1, 3, "X"), Span(4, 5, "X"))


def test_a_tag_that_continues_nothing_begins_and_is_told() -> None:
    # Trap 21
    assert scheme_of([["B-X", "I-X"], ["I-X"]]) == "bio"
    _, spans, problems = spans_of(["a", "b", "c"], ["I-X", "B-Y", "I-Z"], lines=[7, 8, 9])
    assert spans == (Span(0, 1, "X"), Span(2, 3, "Y"), Span(4, 5, "Z"))
    assert [problem.line for problem in problems] == [7, 9]
    assert str(problems[0]) == ("line 7: the tag 'I-X' of token 1 continues an entity that has not begun; read as B-X")


def test_a_type_may_hold_a_dash() -> None:
    assert spans_of(["x"], ["B-creative-work"])[1] == (Span(0, 1, "creative-work"),)


@pytest.mark.parametrize("tag", ["B-creative-work,B-person", "PER", "", "B-", "I"])
def test_a_tag_that_cannot_be_read_is_refused(tag: str) -> None:
    # Trap 23
    with pytest.raises(ValidationError, match=r"the tag"):
        spans_of(["x"], [tag])


def test_a_tag_for_each_token() -> None:
    with pytest.raises(ValidationError, match="2 tokens and 1 tags"):
        spans_of(["a", "b"], ["O"])


def test_no_token_is_an_empty_text() -> None:
    assert spans_of([], []) == ("", (), [])


def test_characters_are_put_together_with_nothing() -> None:
    text, spans, _ = spans_of(list("김 씨는"), ["B-PS", "I-PS", "I-PS", "O"], "")
    assert text == "김 씨는"
    assert spans == (Span(0, 3, "PS"),)


def test_tags_come_back_from_entities() -> None:
    assert tags_of(TOKENS, ENTITIES) == ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"]
    # An entity that ends within a word (a name with its particle) tags the word.
    assert tags_of(["김민수가", "왔다"], [Span(0, 3, "PS")]) == ["B-PS", "O"]
    assert tags_of(list("ab"), [Span(0, 1, "X"), Span(1, 2, "X")], "") == ["B-X", "B-X"]
