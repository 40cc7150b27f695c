"""What the models trained from nothing reach on public data of full size, as anybody would train them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.dataset.example import LabelledText
from dure.dataset.split import split
from dure.learning.recipe import Recipe
from dure.learning.training import train
from tests.real_data import real_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MAX_TRAINING_S = 180
"""On two cores."""

Rows = list[LabelledText]


def nsmc(path: Path) -> Rows:
    fields = (line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n")[1:])
    return [LabelledText(text, label) for _, text, label in fields]


def ynat(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as lines:
        return [LabelledText(row["title"], row["topic_idx"]) for row in csv.DictReader(lines)]


def banking(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as lines:
        return [LabelledText(row["text"], row["category"]) for row in csv.DictReader(lines)]


@pytest.mark.parametrize(
    ("read", "learnt_from", "tested_on", "num_rows", "least"),
    [
        pytest.param(nsmc, "nsmc_train_20k.txt", "nsmc_test_5k.txt", None, 0.860, id="nsmc"),
        pytest.param(nsmc, "nsmc_train_20k.txt", "nsmc_test_5k.txt", 2000, 0.80, id="nsmc-2000"),
        pytest.param(ynat, "ynat_train_20k.csv", "ynat_test_5k.csv", None, 0.865, id="ynat"),
        pytest.param(banking, "banking77_train.csv", "banking77_test.csv", None, 0.92, id="banking77"),
    ],
)
def test_accuracy(
    read: Callable[[Path], Rows], learnt_from: str, tested_on: str, num_rows: int | None, least: float
) -> None:
    rows, held_out = read(real_data(f"tc/{learnt_from}"))[:num_rows], read(real_data(f"tc/{tested_on}"))
    recipe = Recipe(task="tc")
    trained = train(recipe, split(rows, recipe.train_rate, recipe.seed))
    said = trained.model.predict([example.text for example in held_out])
    accuracy = sum(a.label == e.label for a, e in zip(said, held_out, strict=True)) / len(held_out)  # type: ignore[union-attr]
    assert accuracy >= least
    assert trained.elapsed_time_s <= MAX_TRAINING_S
