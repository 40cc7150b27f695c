import pytest

from dure.dataset.example import LabelledText, Span, TaggedText
from dure.dataset.rows import Row, check_trainable, labelled
from dure.errors import ValidationError


def test_what_can_be_trained_on() -> None:
    check_trainable([LabelledText("a", "x"), LabelledText("b", "y")])
    check_trainable([TaggedText("a", (Span(0, 1, "X"),))])


def test_what_cannot_be_trained_on() -> None:
    # Traps 5 and 13
    with pytest.raises(ValidationError, match="empty"):
        check_trainable([])
    with pytest.raises(ValidationError, match="all 2 rows have the label 'x'"):
        check_trainable([LabelledText("a", "x"), LabelledText("b", "x")])
    with pytest.raises(ValidationError, match="none of the 1 sentences has an entity"):
        check_trainable([TaggedText("a", ())])


@pytest.mark.parametrize(("text", "told"), [(5, "of type int"), (["a"], "of type list")])
def test_texts_that_are_none(text: object, told: str) -> None:
    with pytest.raises(ValidationError, match=f"line 4: the text is {told}"):
        labelled([Row(text, "x", line=4)], "f")


def test_rows_without_any_text() -> None:
    # Trap 9
    with pytest.raises(ValidationError, match="2 rows, none with a text"):
        labelled([Row(None, "x"), Row(" ", "y")], "f")


def test_a_label_that_is_not_a_number() -> None:
    # Trap 9: pandas makes NaN of what is missing
    with pytest.raises(ValidationError, match="no label in line 2"):
        labelled([Row("a", "x", line=1), Row("b", float("nan"), line=2)], "f")
