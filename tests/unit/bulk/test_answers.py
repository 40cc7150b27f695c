import pytest

from dure import DocumentArray
from dure.bulk.answers import Answers
from dure.bulk.part import Part
from dure.document.document import Document
from dure.errors import ValidationError


def given(count: int = 5) -> DocumentArray:
    return DocumentArray(Document(f"text {i}", id=str(i)) for i in range(count))


def collecting(count: int = 5) -> Answers:
    return Answers(Part(2, 1000, 1000 + count), given(count), 2)


def test_answers_are_put_together_in_order() -> None:
    answers = collecting()
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        answers.add(given()[rows])

    assert answers.whole().ids == ["0", "1", "2", "3", "4"]


def test_where_it_is_names_the_rows_that_come_next() -> None:
    answers = collecting()
    assert answers.where() == "part 2, rows 1,000 to 1,001"
    answers.add(given()[:2])
    answers.add(given()[2:4])
    assert answers.where() == "part 2, row 1,004"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_rows_is_an_error(count: int) -> None:
    with pytest.raises(ValidationError, match=f"returned {count} rows for 2"):
        collecting().add(given()[:count])


def test_another_order_is_an_error_but_new_documents_are_none() -> None:
    with pytest.raises(ValidationError, match="another order"):
        collecting().add(given()[[1, 0]])

    collecting().add(DocumentArray([Document("a"), Document("b")]))


def test_ids_that_occur_twice_are_no_other_order() -> None:
    same = DocumentArray([Document("a", id="x"), Document("b", id="x")])
    answers = Answers(Part(0, 0, 2), same, 2)

    answers.add(same)

    assert answers.whole().texts == ["a", "b"]
