from typing import Any

import pytest

from dure.document.headers import add_tags, fields_of, with_tags
from dure.errors import ValidationError


def test_a_column_is_a_field_by_its_name_or_the_text_or_a_tag() -> None:
    assert fields_of("f", ["id", "text", "label"], "text") == ["id", "text", None]
    assert fields_of("f", ["guid", "문장", "uri"], "문장") == [None, "text", "uri"]
    assert fields_of("f", ["embedding", "label"], None) == ["embedding", None]
    assert fields_of("f", ["text"], None) == ["text"]


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        (["id", "txt"], "text", r"f: there is no column 'text' .*Did you mean 'txt'"),
        (["id", "id", "text"], "text", "two columns 'id'"),
        (["text", "document"], "document", "'document' was named as the text"),
    ],
)
def test_columns_that_do_not_fit(names: list[str], text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fields_of("f", names, text)


def test_tags_are_added_to_those_there_are() -> None:
    assert with_tags(None, {"a": 1}, "f") == {"a": 1}
    assert with_tags({"b": 2}, {"a": 1}, "f") == {"a": 1, "b": 2}
    with pytest.raises(ValidationError, match="f: the tag 'a' is also a column"):
        with_tags({"a": 2}, {"a": 1}, "f")


def test_tags_are_added_row_by_row() -> None:
    columns: dict[str, Any] = {"tags": [{"x": 1}, None]}
    add_tags(columns, {"a": [1, 2], "b": ["c", None]}, 2)
    assert columns["tags"] == [{"x": 1, "a": 1, "b": "c"}, {"a": 2, "b": None}]
    columns = {}
    add_tags(columns, {}, 2)
    assert columns == {}
    with pytest.raises(ValidationError, match="row 1: the tag 'a'"):
        add_tags({"tags": [None, {"a": 1}]}, {"a": [1, 2]}, 2)
