import subprocess
import sys

import numpy as np
import pytest

from dure.learning.unit_features import naming_columns, unit_features
from dure.learning.units import units_of

TEXTS = ["김철수는 2026년 서울에 갔다.", "", "   ", "Bob met @alice_1 in New York 😀", "x", "."]


def test_a_text_has_the_same_features_whatever_stands_beside_it() -> None:
    units = units_of(TEXTS)
    together = unit_features(units)
    for row, text in enumerate(TEXTS):
        begin, end = units.bounds[row : row + 2]
        assert np.array_equal(together[begin:end], unit_features(units_of([text])))


def test_columns_do_not_share_features() -> None:
    features = unit_features(units_of(TEXTS))
    seen: dict[int, int] = {}
    for column in range(features.shape[1]):
        for value in set(features[:, column].tolist()):
            assert seen.setdefault(value, column) == column


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("1945년", "2026년", True),  # digits are one another's like, but for the number itself
        ("김철수는 갔다", "박영희는 갔다", True),  # the particle behind a name
        ("Bob", "bob", True),
        ("김 갔다", "Bob went", False),
    ],
)
def test_what_is_alike_shares_features(one: str, other: str, alike: bool) -> None:
    first, second = (unit_features(units_of([text]))[0] for text in (one, other))
    shared = int((first == second).sum())
    assert (shared > 12) is alike
    assert shared < len(first)


def test_features_are_the_same_in_every_process() -> None:
    program = (
        "from dure.learning.units import units_of; from dure.learning.unit_features import unit_features;"
        "print(hex(int(unit_features(units_of(['Ab 서울 12'])).sum(dtype='uint64'))))"
    )
    own = hex(int(unit_features(units_of(["Ab 서울 12"])).sum(dtype="uint64")))
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", program]
        shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        assert shown.strip() == own


def test_columns_that_name_a_unit_are_those_that_change_with_it() -> None:
    before, after = (unit_features(units_of([f"a b c {word} d e f"])) for word in ("xxxxaxxxx", "xxxxbxxxx"))
    changed = np.flatnonzero(before[3] != after[3])
    assert set(naming_columns()) == set(changed.tolist())
    assert len(naming_columns()) < before.shape[1] / 2
