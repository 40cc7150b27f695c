"""Tables and figures as text: columns that line up, and numbers in the unit that makes them short."""

from collections.abc import Sequence

from dure.bench.timing import Spread

_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their heads, words to the left and figures to the right."""
    columns = [_column(cells) for cells in zip(heads, *rows, strict=True)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def titled(title: str, *parts: str) -> str:
    """Return a title, underlined, and what follows it; empty parts are left out."""
    return "\n".join([title, "-" * len(title), *(part for part in parts if part)])


def rate(value: float, unit: str) -> str:
    """Return a rate in a unit: `12.3 GB/s`, `847 docs/s`."""
    for factor, letter in _LARGE:
        if value >= factor and unit[0].isupper():
            return f"{_short(value / factor)} {letter}{unit}"
    return f"{_short(value)} {unit}"


def seconds(value: float) -> str:
    """Return a duration: `12.3 ms`."""
    factor, unit = next((pair for pair in _SMALL if value >= pair[0]), _SMALL[-1])
    return f"{_short(value / factor)} {unit}"


def size(num_bytes: int) -> str:
    """Return a size: `64 MiB`."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if num_bytes >= factor:
            return f"{_short(num_bytes / factor)} {unit}"
    return f"{num_bytes} B"


def within(spread: Spread, unit: str) -> str:
    """Return a rate's median and, behind it, its least and greatest value as shares of the median."""
    low, high = (value / spread.median - 1 for value in (spread.least, spread.greatest))
    return f"{rate(spread.median, unit)} ({low:+.0%} {high:+.0%})"


def duration(spread: Spread) -> str:
    """Return a duration's median and, behind it, its least and greatest value as shares of the median."""
    low, high = (value / spread.median - 1 for value in (spread.least, spread.greatest))
    return f"{seconds(spread.median)} ({low:+.0%} {high:+.0%})"


def _short(value: float) -> str:
    """Return a number with three digits that count, and no more than it has."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _column(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    figures = any(cell[:1] in "+-0123456789" for cell in cells[1:] if cell)
    return [cell.rjust(width) if figures else cell.ljust(width) for cell in cells]
