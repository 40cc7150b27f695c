"""Figures: panels on one page, drawn without a screen by matplotlib, which is an extra.

Knows colours, units on axes and how a page is saved; does not know what is drawn.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dure.bench.timing import Spread
from dure.deps import require
from dure.errors import MissingDependency

# The palette of Okabe and Ito: told apart also by people who see fewer colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_PANEL_INCHES = (7.4, 5.0)

Panel = Callable[[Any], None]
"""Draws into the axes that it is given."""


def require_plots() -> None:
    """Do nothing where plots can be drawn.

    Raises:
        MissingDependency: matplotlib is not installed; names the extra, and how to do without.
    """
    try:
        require("matplotlib", "bench")
    except MissingDependency as error:
        raise MissingDependency(f"{error}, or measure without plots: --no-plots") from error


def save_page(path: Path, title: str, panels: Sequence[Panel]) -> Path:
    """Draw panels in two columns and save the page as PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    figures, agg = (require(f"matplotlib.{name}", "bench") for name in ("figure", "backends.backend_agg"))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    size = (_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 0.5)
    figure = figures.Figure(figsize=size, layout="constrained")
    agg.FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, which="major", color="0.9")
        axes.set_axisbelow(True)
        panel(axes)
    figure.savefig(path, dpi=120)
    return path


def colour(number: int) -> str:
    """Return the colour of the n-th thing that is told apart, from 0."""
    return _COLOURS[number % len(_COLOURS)]


def draw_line(axes: Any, xs: Sequence[float], ys: Sequence[Spread], **style: Any) -> None:
    """Draw medians as a line with marks, and a band from the least to the greatest behind it."""
    axes.plot(xs, [y.median for y in ys], **{"marker": "o", "markersize": 3.5, "linewidth": 1.5, **style})
    least, greatest = [y.least for y in ys], [y.greatest for y in ys]
    axes.fill_between(xs, least, greatest, color=style["color"], alpha=0.13, linewidth=0)


def draw_bars(axes: Any, names: Sequence[str], groups: dict[str, Sequence[Spread]]) -> None:
    """Draw groups of bars beside each other, with the least and the greatest as a whisker and the median inside."""
    width = 0.8 / len(groups)
    for number, (told, values) in enumerate(groups.items()):
        xs = [at + (number - (len(groups) - 1) / 2) * width for at in range(len(names))]
        medians = [value.median for value in values]
        below = [value.median - value.least for value in values]
        above = [value.greatest - value.median for value in values]
        bars = axes.bar(xs, medians, width * 0.92, label=told, color=colour(number))
        axes.errorbar(xs, medians, [below, above], fmt="none", ecolor="0.25", elinewidth=1, capsize=2)
        axes.bar_label(bars, [f"{median:.3g}" for median in medians], label_type="center", color="white", fontsize=8)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.grid(visible=False, axis="x")


def draw_level(axes: Any, height: float, told: str) -> None:
    """Draw a level to compare with, across the panel, and say what it is."""
    axes.axhline(height, color="0.35", linewidth=1, linestyle="--")
    above = {"xytext": (0, 3), "textcoords": "offset points", "xycoords": ("axes fraction", "data")}
    axes.annotate(told, (0.01, height), fontsize=8, color="0.35", **above)


def label(axes: Any, title: str, x: str, y: str) -> None:
    """Name a panel and its axes."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def log_axes(axes: Any, unit: str) -> None:
    """Put both axes on a logarithmic scale: sizes that double to the right, powers of ten of a unit upwards."""
    ticker = require("matplotlib.ticker", "bench")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.EngFormatter(unit=unit))
