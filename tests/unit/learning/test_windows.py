from hypothesis import given, settings
from hypothesis import strategies as st

from dure.learning.prediction import Entity
from dure.learning.windows import MARGIN, MAX_CHARACTERS, in_runs, windows_of, without_overlaps


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=4))
def test_own_parts_cover_every_text_once_and_have_context(lengths: list[int]) -> None:
    windows = list(windows_of(["x" * length for length in lengths]))
    for row, length in enumerate(lengths):
        mine = [window for window in windows if window.row == row]
        covered = [at for window in mine for at in range(window.core_start, window.core_end)]
        assert covered == list(range(length))
        for window in mine:
            assert window.end - window.start <= MAX_CHARACTERS
            assert window.start == 0 or window.core_start - window.start == MARGIN
            assert window.end == length or window.end - window.core_end == MARGIN
        assert len(mine) == 1 or not 0 < length <= MAX_CHARACTERS


def test_groups_hold_no_more_than_they_may() -> None:
    windows = list(windows_of(["x" * n for n in (500, 500, 100, 3000, 1)]))
    groups = list(in_runs(windows, 700))
    assert [window for group in groups for window in group] == windows
    assert all(len(group) == 1 or sum(w.end - w.start for w in group) <= 700 for group in groups)
    assert len(groups) < len(windows)


def test_of_two_entities_that_overlap_the_more_probable_stays() -> None:
    def entity(start: int, end: int, score: float) -> Entity:
        return Entity("x" * (end - start), "PS", start, end, score)

    first, second, beside = entity(3, 6, 0.5), entity(5, 9, 0.9), entity(9, 12, 0.1)
    assert without_overlaps([beside, second, first]) == [second, beside]
    assert without_overlaps([second, entity(5, 9, 0.9)]) == [second]
