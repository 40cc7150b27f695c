"""Types of `parameters`: found in annotations, checked, and written as JSON Schema."""

from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest

from dure import DocumentArray
from dure.errors import ParametersError, SpecError
from dure.executor.parameters import checked, schema_of, type_of


class Search(msgspec.Struct):
    limit: int = 10


@dataclass
class Point:
    x: float
    y: float = 0.0


class Words(TypedDict, total=False):
    words: list[str]


def method(kind: Any) -> Any:
    def serve(self: Any, docs: DocumentArray, parameters: Any) -> None:
        """Serve."""

    serve.__annotations__["parameters"] = kind
    return serve


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        (Search, {"limit": 3}, Search(3)),
        (Search, {}, Search()),
        (Point, {"x": 1}, Point(1.0)),
        (Words, {"words": ["두", "레"]}, {"words": ["두", "레"]}),
    ],
)
def test_values_become_of_the_type(kind: Any, given: dict[str, Any], made: Any) -> None:
    assert type_of(method(kind)) is kind
    assert checked(kind, given) == made


def test_what_does_not_fit_is_refused_with_its_path() -> None:
    with pytest.raises(ParametersError, match=r"parameters: Expected `int`, got `str` - at `\$.limit`"):
        checked(Search, {"limit": "many"})


@pytest.mark.parametrize("kind", [dict, dict[str, Any], Any])
def test_a_dict_takes_anything(kind: Any) -> None:
    assert type_of(method(kind)) is None


def test_a_method_need_not_take_any() -> None:
    def serve(self: Any, docs: DocumentArray, **kwargs: Any) -> None:
        """Serve."""

    assert type_of(serve) is None


def test_a_type_that_nothing_can_be_checked_against_is_refused() -> None:
    class Odd:
        def __init__(self, *values: int) -> None:
            self.values = values

    with pytest.raises(SpecError, match="parameters cannot be a"):
        type_of(method(Odd))


def test_a_schema_is_complete_in_itself() -> None:
    written = schema_of(Search, "finder")
    assert written["schema"] == {"$ref": "#/components/schemas/finder.Search"}
    limit = written["components"]["finder.Search"]["properties"]["limit"]
    assert limit == {"type": "integer", "default": 10}
