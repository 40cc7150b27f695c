"""The real files, where this machine has them: as many rows, labels and entities as their authors say."""

import pytest

from dure.dataset.reading import read_examples
from tests.real_data import real_data
from tests.unit.dataset.contents import pairs, sentences, told


@pytest.mark.parametrize(
    ("name", "num_rows", "num_quotes", "num_labels"),
    [
        ("tc/nsmc_train_20k.txt", 20_000, 87, 2),
        ("tc/nsmc_test_5k.txt", 5_000, 36, 2),
        ("tc/ynat_test_5k.csv", 5_000, None, 7),
        ("tc/banking77_train.csv", 10_003, None, 77),
        ("tc/banking77_test.csv", 3_080, None, 77),
    ],
)
def test_real_labelled_texts(name: str, num_rows: int, num_quotes: int | None, num_labels: int) -> None:
    found = read_examples(real_data(name), "tc")
    assert len(found.examples) == num_rows
    assert len({label for _, label in pairs(found)}) == num_labels
    if num_quotes is not None:
        assert sum('"' in text for text, _ in pairs(found)) == num_quotes


def test_real_line_ends_in_quotes() -> None:
    found = read_examples(real_data("tc/banking77_train.csv"), "tc")
    assert sum("\n" in text for text, _ in pairs(found)) == 10


@pytest.mark.parametrize(
    ("name", "num_sentences", "num_entities"),
    [
        ("ner/wnut17/wnut17train.conll", 3_394, 1_975),
        ("ner/wnut17/emerging.dev.conll", 1_009, 836),
        ("ner/wnut17/emerging.test.annotated", 1_287, 1_079),
        ("ner/klue-ner-v1.1_dev_2k.tsv", 2_000, 5_757),
        ("ner/klue-ner-v1.1_train_8k_restored.tsv", 8_000, 19_741),
    ],
)
def test_real_sentences(name: str, num_sentences: int, num_entities: int) -> None:
    found = read_examples(real_data(name), "ner")
    assert len(found.examples) == num_sentences
    assert sum(len(entities) for _, entities in sentences(found)) == num_entities
    assert told(found) == []
