import pytest

from dure.dataset.example import Span, ordered
from dure.errors import ValidationError

TEXT = "Ada met 김민수 in Seoul 🙂"


def test_entities_come_in_the_order_of_the_text() -> None:
    name, place = Span(0, 3, "PER"), Span(15, 20, "LOC")
    assert ordered(TEXT, [place, name]) == (name, place)
    assert TEXT[15:20] == "Seoul"


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        ([Span(0, 3, " ")], "no type"),
        ([Span(3, 3, "PER")], "does not lie"),
        ([Span(-1, 3, "PER")], "does not lie"),
        ([Span(0, 23, "PER")], "22 characters"),
        ([Span(0, 7, "PER"), Span(4, 8, "PER")], "overlaps"),
    ],
)
def test_entities_that_cannot_be_are_refused(spans: list[Span], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ordered(TEXT, spans)


def test_characters_are_code_points() -> None:
    # Trap 8: an emoji outside of the BMP is one code point, two UTF-16 units and four bytes.
    assert ordered(TEXT, [Span(21, 22, "MISC")]) == (Span(21, 22, "MISC"),)
    assert TEXT[21:22] == "🙂"
