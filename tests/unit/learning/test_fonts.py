import pytest

from dure.learning.fonts import characters, families, legend, written

pytest.importorskip("matplotlib")


def test_latin_letters_are_drawn_and_unknown_characters_numbered() -> None:
    labels = ["b", "\U000f0000", "a$1"]  # a private character that no font has
    assert written(labels) == {"a$1": r"a\$1", "b": "b", "\U000f0000": "#3"}
    assert legend(labels) == {"#3": "\U000f0000"}


def test_hangul_is_drawn_where_a_font_has_it() -> None:
    has_hangul = ord("한") in characters(families())
    assert written(["한"]) == {"한": "한" if has_hangul else "#1"}
    if not has_hangul:
        pytest.skip("no font with Hangul is installed: labels in Korean are numbered")
