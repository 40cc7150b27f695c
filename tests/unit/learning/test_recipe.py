import math
from typing import Any

import pytest

from dure.errors import DeviceNotFound, ValidationError
from dure.learning.recipe import Recipe


def test_a_recipe_comes_back_from_its_values() -> None:
    recipe = Recipe(task="tc", epochs=3, device="gpu:1", learning_rate=0.1, class_weights="balanced")
    assert Recipe.from_dict(recipe.as_dict()) == recipe


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"task": "nre"}, "task='nre' is none of tc, ner"),
        ({"epochs": 0}, "epochs=0 is not a whole number from 1"),
        ({"epochs": 1.5}, r"epochs=1.5 is not a whole number from 1"),
        ({"epochs": True}, "epochs=True is not"),
        ({"train_rate": 0}, "train_rate=0 is not between 0 and 1"),
        ({"train_rate": 1}, "train_rate=1 is not between 0 and 1"),
        ({"train_rate": 2.0}, r"train_rate=2.0 is not between"),
        ({"train_rate": math.nan}, "train_rate=nan is not between"),
        ({"train_rate": "0.8"}, "train_rate='0.8' is not between"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 is not a number above 0"),
        ({"learning_rate": math.inf}, "learning_rate=inf is not"),
        ({"accumulate": None}, "accumulate=None is not a whole number from 1"),
        ({"batch_size": 0}, "batch_size=0 is not"),
        ({"seed": -1}, "seed=-1 is not a whole number from 0"),
        ({"class_weights": "even"}, "class_weights='even' is none of none, balanced"),
        ({"task": "ner", "class_weights": "balanced"}, "is for classes: a tagger has none"),
        ({"precision": "float16"}, "precision='float16' is for encoders"),
        ({"shares": 0, "encoder": "e"}, "shares=0 is not a whole number from 1"),
        ({"shares": None, "encoder": "e"}, "shares=None is not a whole number from 1"),
        ({"shares": 2}, "shares=2 is for encoders"),
        ({"epoch": 1}, "a recipe has no 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_what_makes_no_sense(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why.replace("(", r"\(")):
        Recipe.from_dict({"task": "tc", **values})


def test_a_device_that_is_none() -> None:
    with pytest.raises(DeviceNotFound, match="'gpx' names no device"):
        Recipe(task="tc", device="gpx")


def test_the_task_must_be_told() -> None:
    with pytest.raises(ValidationError, match="needs its task: tc or ner"):
        Recipe.from_dict({})


def test_a_classifier_from_nothing_learns_from_all_rows_in_the_end_unless_told_otherwise() -> None:
    assert Recipe(task="tc").refits
    assert not Recipe(task="ner").refits
    assert not Recipe(task="tc", encoder="some").refits
    assert Recipe(task="ner", refit=True).refits
    assert not Recipe(task="tc", refit=False).refits
    with pytest.raises(ValidationError, match="refit=1 is neither true nor false"):
        Recipe(task="tc", refit=1)  # type: ignore[arg-type]
