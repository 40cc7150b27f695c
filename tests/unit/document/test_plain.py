import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given

from dure.document import plain
from dure.document.bounds import MAX_JSON_DEPTH
from dure.errors import ValidationError
from tests.documents import plain_values


class Colour(enum.Enum):
    RED = "red"


@given(plain_values)
def test_plain_values_come_back_from_json_with_their_types(value: Any) -> None:
    plain.check(value, "value")
    assert repr(plain.from_json(plain.to_json(value, "value"), "value")) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        {1},
        Decimal(1),
        date(2020, 1, 1),
        datetime(2020, 1, 1),
        UUID(int=0),
        Colour.RED,
        object(),
        1j,
        np.datetime64("2020-01-01"),
        np.array([None]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_arrive_as_something_else_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^tags\['a'\]\[1\] is a"):
        plain.check({"a": [0, value]}, "tags")


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",), b"a"])
def test_keys_are_texts(key: Any) -> None:
    with pytest.raises(ValidationError, match="keys are texts"):
        plain.check({key: 1}, "tags")


def test_numpys_numbers_and_texts_are_plain() -> None:
    value = {"a": np.float32(0.5), "b": np.array([1, 2]), "c": np.str_("x"), "d": np.bool_(True)}
    plain.check(value, "tags")
    assert plain.to_json(value, "tags") == '{"a":0.5,"b":[1,2],"c":"x","d":true}'


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValidationError, match="contains itself"):
        plain.check(value, "tags")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_nan_and_infinity_are_not_json(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^x\.a\[1\] is"):
        plain.to_json({"a": [None, value]}, "x")


def test_the_word_null_is_fine() -> None:
    assert plain.to_json({"a": "null", "b": None}, "x") == '{"a":"null","b":null}'


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_whole_numbers_that_are_read_have_64_bits(value: int) -> None:
    with pytest.raises(ValidationError, match=r"^tags: whole numbers have 64 bits at most"):
        plain.check_read({"a": [{"b": value}]}, "tags")
    plain.check_read({"a": [{"b": 2**64 - 1, "c": -(2**63)}]}, "tags")


def test_what_is_read_is_not_nested_without_end() -> None:
    value: list[Any] = []
    for _ in range(MAX_JSON_DEPTH - 1):
        value = [value]
    plain.check_read({"a": value[0]}, "tags")
    with pytest.raises(ValidationError, match="nested more than 100 deep"):
        plain.check_read({"a": [value]}, "tags")
