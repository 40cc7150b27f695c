"""Which fonts of this machine can draw a label: matplotlib's own has no Hangul, and draws boxes.

Knows fonts; does not know what is drawn. A label that no font can draw gets a number, which a legend explains.
"""

import functools
from collections.abc import Iterable
from pathlib import Path

from dure.deps import require

EXTRA = "pictures"
_FIRST = "DejaVu Sans"
# What the files of fonts with Hangul are called, in the order of preference: those of Linux, Windows, macOS.
_OTHERS = (
    "nanumgothic",
    "nanumbarungothic",
    "notosanskr",
    "notosanscjk",
    "malgun",
    "applesdgothicneo",
    "applegothic",
    "undotum",
    "wqy-zenhei",
    "unifont",
)


@functools.cache
def families() -> tuple[str, ...]:
    """Return the fonts to draw with, each for what those before it lack."""
    manager = require("matplotlib.font_manager", EXTRA)
    # Matplotlib's own list of fonts is kept on the disk, and does not know those that were installed since.
    found: dict[str, str] = {}
    for path in sorted(map(Path, manager.findSystemFonts())):
        stem = path.stem.lower()
        begin = stem.removesuffix("-regular")
        if begin in _OTHERS and begin not in found:
            manager.fontManager.addfont(path)
            found[begin] = manager.FontProperties(fname=path).get_name()
    return (_FIRST, *(found[begin] for begin in _OTHERS if begin in found))


def written(labels: Iterable[str]) -> dict[str, str]:
    """Return what to write for each label: itself, or `#` and its number among all of them."""
    known = characters(families())
    return {
        # A dollar sign begins mathematics in matplotlib.
        label: label.replace("$", r"\$") if _can_be_drawn(label, known) else f"#{number}"
        for number, label in enumerate(sorted(labels), 1)
    }


def legend(labels: Iterable[str]) -> dict[str, str]:
    """Return what the numbers stand for that are written in place of labels."""
    known = characters(families())
    return {drawn: label for label, drawn in written(labels).items() if not _can_be_drawn(label, known)}


@functools.cache
def characters(names: Iterable[str]) -> frozenset[int]:
    """Return the code points that some of these fonts have."""
    manager = require("matplotlib.font_manager", EXTRA)
    found: set[int] = set()
    for name in names:
        path = manager.findfont(name, fallback_to_default=name == _FIRST)
        found.update(manager.get_font(path).get_charmap())
    return frozenset(found)


def _can_be_drawn(label: str, known: frozenset[int]) -> bool:
    return label.isprintable() and all(ord(character) in known for character in label)
