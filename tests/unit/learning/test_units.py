import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.learning.units import Stretches, units_of

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


def pieces(text: str) -> list[str]:
    starts, ends = units_of([text]).offsets
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n\u2028", []),
        ("김철수는", ["김", "철", "수", "는"]),
        ("Hello, world", ["Hello", ",", "world"]),
        ("iPhone6s 2026년", ["iPhone", "6", "s", "2026", "년"]),
        ("😀👍🏽Bob", ["😀", "👍", "🏽", "Bob"]),
        ("a\u200bb", ["a", "b"]),
        ("ㅋㅋ", ["ㅋ", "ㅋ"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("Ünïcode Мир", ["Ünïcode", "Мир"]),
        ("a\ud800b", ["a", "\ud800", "b"]),
    ],
)
def test_units_are_syllables_signs_and_runs(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_a_text_has_the_same_units_whatever_stands_beside_it(texts: list[str]) -> None:
    units = units_of(texts)
    starts, ends = units.offsets
    for row, text in enumerate(texts):
        begin, end = units.bounds[row : row + 2]
        alone = units_of([text]).offsets
        assert starts[begin:end].tolist() == alone[0].tolist()
        assert ends[begin:end].tolist() == alone[1].tolist()
        outside = set(range(len(text))) - {n for s, e in zip(*alone, strict=True) for n in range(s, e)}
        assert all(not text[at].isalnum() for at in outside)


def test_equal_stretches_have_equal_hashes_and_others_do_not() -> None:
    values = np.tile(np.arange(1, 51, dtype=np.uint32), 4)
    hashes = Stretches(values)
    starts, ends = (part.ravel() for part in np.meshgrid(np.arange(200), np.arange(201)))
    starts, ends = starts[starts <= ends], ends[starts <= ends]
    found: dict[bytes, int] = {}
    for start, end, value in zip(starts, ends, hashes(starts, ends).tolist(), strict=True):
        assert found.setdefault(values[start:end].tobytes(), value) == value
    assert len(set(found.values())) == len(found)


def test_hashes_are_the_same_in_every_process() -> None:
    units = units_of(["Ab 12"])
    assert units.folded(units.starts, units.ends).tolist() == EXPECTED
    assert units_of(["aB 90"]).folded(units.starts, units.ends).tolist() == EXPECTED
    assert units_of(["aB 90"]).plain(units.starts, units.ends).tolist() != EXPECTED


EXPECTED = [1154243439623771332, 792468586799601011]
