"""Figures: panels on one page, drawn without a screen by matplotlib, which is an extra.

Knows colours, units on axes and how a page is saved; does not know what is drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dure.bench.timing import Spread
from dure.deps import require
from dure.errors import MissingDependency

# The palette of Okabe and Ito: told apart also by people who see fewer colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_PANEL_INCHES = (7.4, 5.0)

Panel = tuple[str, Callable[[Any], None] | None]
"""A title, and what draws into the axes that it is given; `None` where there is nothing to draw."""


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
    for number, (told, draw) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_title(told, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, which="major", color="0.9")
        axes.set_axisbelow(True)
        if draw is None:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        else:
            draw(axes)
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


def draw_bars(axes: Any, names: Sequence[str], groups: Mapping[str, Sequence[Spread]]) -> None:
    """Draw groups of bars beside each other, with the least and the greatest as a whisker and the median inside."""
    width = 0.8 / len(groups)
    for number, (told, values) in enumerate(groups.items()):
        xs = [at + (number - (len(groups) - 1) / 2) * width for at in range(len(names))]
        medians = [value.median for value in values]
        bars = axes.bar(xs, medians, width * 0.92, label=told, color=colour(number))
        axes.errorbar(xs, medians, _whiskers(values), fmt="none", ecolor="0.25", elinewidth=1, capsize=2)
        axes.bar_label(bars, [_short(median) for median in medians], label_type="center", color="white", fontsize=8)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.grid(visible=False, axis="x")


def draw_rows(axes: Any, names: Sequence[str], values: Sequence[Spread]) -> None:
    """Draw bars below each other, the first one at the top, each named at its left."""
    ys = range(len(names))
    medians = [value.median for value in values]
    bars = axes.barh(ys, medians, 0.75, color=colour(0))
    axes.errorbar(medians, ys, xerr=_whiskers(values), fmt="none", ecolor="0.25", elinewidth=1, capsize=2)
    axes.bar_label(bars, [_short(median) for median in medians], label_type="center", color="white", fontsize=8)
    axes.set_yticks(ys, names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def draw_stack(axes: Any, names: Sequence[str], parts: Mapping[str, Sequence[float]]) -> None:
    """Draw one bar for each name, its parts upon each other; each part is a share from 0 to 1."""
    bottom = [0.0] * len(names)
    for number, (told, shares) in enumerate(parts.items()):
        axes.bar(range(len(names)), shares, 0.8, bottom=bottom, label=told, color=colour(number))
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.yaxis.set_major_formatter(require("matplotlib.ticker", "bench").PercentFormatter(1.0))
    axes.grid(visible=False, axis="x")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=len(parts), frameon=False)


def draw_level(axes: Any, height: float, told: str) -> None:
    """Draw a level to compare with, across the panel, and say what it is."""
    axes.axhline(height, color="0.35", linewidth=1, linestyle="--")
    above = {"xytext": (0, 3), "textcoords": "offset points", "xycoords": ("axes fraction", "data")}
    axes.annotate(told, (0.01, height), fontsize=8, color="0.35", **above)


def label(axes: Any, x: str, y: str) -> None:
    """Name the axes of a panel."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def log_sizes(axes: Any) -> None:
    """Put sizes that double on the horizontal axis."""
    axes.set_xscale("log", base=2)


def log_rates(axes: Any, unit: str) -> None:
    """Put rates that differ by powers of ten on the vertical axis, written in a unit; call it when all is drawn."""
    ticker = require("matplotlib.ticker", "bench")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    marks = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    axes.yaxis.set_major_locator(ticker.LogLocator(10, subs=marks))
    axes.yaxis.set_major_formatter(ticker.EngFormatter(unit=unit) if unit else ticker.StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def _whiskers(values: Sequence[Spread]) -> list[list[float]]:
    return [[value.median - value.least for value in values], [value.greatest - value.median for value in values]]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
