"""What models trained from nothing, with the settings that everybody gets, reach on public data.

The thresholds are some standard errors below what was measured, and far above what a broken model reaches. The large
sets take minutes each: FULL_SCORES=1 trains on them.
"""

import os
from dataclasses import dataclass

import pytest

from dure.dataset.dataset import Task
from dure.dataset.reading import read_examples
from dure.dataset.split import split
from dure.learning.evaluation import evaluate
from dure.learning.recipe import Recipe
from dure.learning.training import train
from tests.real_data import real_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
full = pytest.mark.skipif(
    "FULL_SCORES" not in os.environ, reason="it trains for minutes; FULL_SCORES=1 says that it may"
)


@dataclass(frozen=True)
class Work:
    task: Task
    train: str
    test: str
    least: float
    num_rows: int | None = None
    validation: str = ""


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(Work("tc", "tc/nsmc_train_20k.txt", "tc/nsmc_test_5k.txt", 0.775, 2000), id="nsmc, 2,000 rows"),
        pytest.param(Work("tc", "tc/nsmc_train_20k.txt", "tc/nsmc_test_5k.txt", 0.845), id="nsmc", marks=full),
        pytest.param(Work("tc", "tc/ynat_train_20k.csv", "tc/ynat_test_5k.csv", 0.84), id="ynat", marks=full),
        pytest.param(Work("tc", "tc/banking77_train.csv", "tc/banking77_test.csv", 0.89), id="banking77", marks=full),
        pytest.param(
            Work(
                "ner",
                "ner/wnut17/wnut17train.conll",
                "ner/wnut17/emerging.test.annotated",
                0.15,
                validation="ner/wnut17/emerging.dev.conll",
            ),
            id="wnut17",
        ),
        pytest.param(
            Work("ner", "ner/klue-ner-v1.1_train_8k_restored.tsv", "ner/klue-ner-v1.1_dev_2k.tsv", 0.74),
            id="klue",
            marks=full,
        ),
    ],
)
def test_scores(work: Work) -> None:
    rows = read_examples(real_data(work.train), work.task).examples[: work.num_rows]
    # As `dure train --validation` has it: a file that validates is not learnt from.
    recipe = Recipe(task=work.task, refit=False if work.validation else None)
    validation = read_examples(real_data(work.validation), work.task).examples if work.validation else ()
    trained = train(recipe, (rows, validation) if work.validation else split(rows, recipe.train_rate, recipe.seed))
    found = evaluate(trained.model, read_examples(real_data(work.test), work.task).examples)
    assert found.scores.main >= work.least
