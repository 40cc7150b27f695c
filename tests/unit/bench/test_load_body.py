import json

import pytest

from dure.bench.load_body import DEFAULT, filled, inference, text_input
from dure.errors import SpecError


@pytest.mark.parametrize(
    ("template", "texts", "expected"),
    [
        (DEFAULT, ['say "hi"', "둘"], {"texts": ['say "hi"', "둘"]}),
        ('{"input": "{text}", "n": 3}', ["one"], {"input": "one", "n": 3}),
        ('{"q": "query: {text}!"}', ["one"], {"q": "query: one!"}),
        ('{"docs": [{"t": "{text}", "k": [1]}]}', ["a", "b"], {"docs": [{"t": "a", "k": [1]}, {"t": "b", "k": [1]}]}),
        ('["first", "{text}", null]', ["a", "b"], ["first", "a", "b", None]),
        ('[["{text}"]]', ["a", "b"], [["a"], ["b"]]),
        ('{"texts": ["{text}"]}', ["{text}"], {"texts": ["{text}"]}),
    ],
)
def test_texts_take_their_places(template: str, texts: list[str], expected: object) -> None:
    assert json.loads(filled(template, texts)) == expected


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{texts}", "is not JSON"),
        ('{"texts": []}', "has no {text}"),
        ('{"{text}": 1}', "has no {text}"),
        ('{"input": "{text}"}', "has place for one text, not 2"),
    ],
)
def test_a_template_without_places_is_refused(template: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        filled(template, ["one", "two"])
    assert told in str(caught.value)


def test_the_form_of_the_open_inference_protocol() -> None:
    (tensor,) = json.loads(inference("in", ["a", "b"]))["inputs"]
    assert tensor == {"name": "in", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    assert json.loads(inference("in", ["a", "b"], 2))["inputs"][0]["shape"] == [2, 1]


def test_a_model_says_what_it_takes() -> None:
    metadata = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}]}
    assert text_input(json.dumps(metadata).encode(), "m") == ("text", 2)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (b"<html>", "not a model's metadata"),
        (b'{"inputs": 3}', "not a model's metadata"),
        (b'{"inputs": []}', "it has: none"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}', "it has: x (FP32)"),
    ],
)
def test_a_model_that_takes_no_texts_is_refused(metadata: bytes, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        text_input(metadata, "http://host/v2/models/m")
    assert told in str(caught.value)
    assert "http://host/v2/models/m" in str(caught.value)
