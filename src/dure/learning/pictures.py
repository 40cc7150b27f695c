"""What an evaluation looks like: the course of the training, confusions, scores by label, and how sure a model may be.

Drawn as PNG without a screen by matplotlib, which is an extra. Knows scores; not what page they are put on.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

from dure.deps import require
from dure.learning.fonts import EXTRA, families, written
from dure.learning.progress import Progress
from dure.learning.reliability import Reliability
from dure.learning.scores import ClassificationScores, Score

MAX_CONFUSED = 30
_MAX_NUMBERED = 15
# Blue, vermilion and green of Okabe and Ito: told apart also by people who see fewer colours.
_BLUE, _RED, _GREEN = "#0072B2", "#D55E00", "#009E73"


def learning_curve(history: Sequence[Progress]) -> bytes:
    """Draw the loss of the steps, and the score after every epoch.

    Args:
        history: Where the training stood, at least once.
    """

    def draw(axes: Any) -> None:
        axes.plot([at.step for at in history], [at.loss for at in history], color=_BLUE, linewidth=1.3)
        axes.set_xlabel("step")
        axes.set_ylabel("loss", color=_BLUE)
        axes.set_ylim(bottom=0)
        judged = [at for at in history if at.score is not None]
        if judged:
            beside = axes.twinx()
            beside.plot([at.step for at in judged], [at.score for at in judged], "o-", color=_RED, markersize=4)
            beside.set_ylabel("score on the validation part", color=_RED)
            beside.set_ylim(0, 1)
            beside.spines[["top"]].set_visible(False)

    return _png(f"{history[-1].step:,} steps, {history[-1].elapsed_time_s:,.1f} s", (7.4, 4.2), draw)


def confusion(scores: ClassificationScores) -> bytes:
    """Draw which label is taken for which; of more than `MAX_CONFUSED` labels those that are confused most."""
    shown = _most_confused(scores)
    drawn = written(scores.labels)
    names = [drawn[scores.labels[at]] for at in shown]
    cells = [[scores.confusion[row][column] for column in shown] for row in shown]
    # Of all the rows of a label, also where some of the labels that it was taken for are not shown.
    rows = [max(1, sum(scores.confusion[at])) for at in shown]
    shares = [[count / total for count in row] for total, row in zip(rows, cells, strict=True)]

    def draw(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(shown)), names, rotation=90 if len(shown) > 4 else 0, fontsize=8)
        axes.set_yticks(range(len(shown)), names, fontsize=8)
        axes.set_xlabel("predicted")
        axes.set_ylabel("there")
        axes.grid(visible=False)
        small = len(shown) > _MAX_NUMBERED
        for row, counts in enumerate(cells):
            for column, count in enumerate(counts):
                if count:
                    ink = "white" if shares[row][column] > 0.5 else "0.15"
                    axes.text(column, row, f"{count}", ha="center", va="center", color=ink, fontsize=6 if small else 8)

    left_out = f", the {len(shown)} that are confused most" if len(shown) < len(scores.labels) else ""
    side = 2.8 + max(0.32 * len(shown), 2.2)
    return _png(f"{len(scores.labels)} labels{left_out}", (side + 0.6, side), draw)


def bars(scores: dict[str, Score]) -> bytes:
    """Draw F1 as a bar for each label or type, the worst at the top, with precision and recall as marks upon it."""
    names = sorted(scores, key=lambda name: (scores[name].f1, name))
    found = [scores[name] for name in names]
    drawn = written(scores)
    ys = range(len(names))

    def draw(axes: Any) -> None:
        axes.barh(ys, [score.f1 for score in found], 0.7, color=_BLUE, alpha=0.55, label="F1")
        axes.plot([score.precision for score in found], ys, ">", color=_RED, markersize=4.5, label="precision")
        axes.plot([score.recall for score in found], ys, "<", color=_GREEN, markersize=4.5, label="recall")
        for y, score in zip(ys, found, strict=True):
            axes.text(1.04, y, f"{score.f1:.3f}   {score.support:,}", va="center", fontsize=8, color="0.25")
        axes.set_title("F1      rows", fontsize=8, loc="right", color="0.25")
        axes.set_yticks(ys, [drawn[name] for name in names], fontsize=8)
        axes.set_xlim(0, 1.2)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.figure.legend(fontsize=8, loc="outside lower center", ncols=3, frameon=False)

    return _png("", (7.4, 1.4 + 0.25 * len(names)), draw)


def reliability_diagram(found: Reliability) -> bytes:
    """Draw how often predictions are right, by how sure the model was, and how many predictions that is."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], "--", color="0.5", linewidth=1, label="as sure as right")
        total = sum(one.count for one in found.bins) or 1
        axes.bar(
            [one.mean_score for one in found.bins],
            [one.count / total for one in found.bins],
            0.05,
            color="0.8",
            label="share of the predictions",
        )
        points = [one.mean_score for one in found.bins], [one.accuracy for one in found.bins]
        axes.plot(*points, "o-", color=_BLUE, markersize=5, label="share that is right")
        axes.set_xlabel("score of the prediction")
        axes.set_ylabel("share")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.legend(fontsize=8, loc="upper left")

    return _png(f"expected calibration error {found.error:.3f}", (6.0, 4.6), draw)


def _most_confused(scores: ClassificationScores) -> list[int]:
    """Return the positions of the labels to show, in the order of the labels."""
    count = len(scores.labels)
    columns = list(zip(*scores.confusion, strict=True))
    wrong = [sum(scores.confusion[at]) + sum(columns[at]) - 2 * scores.confusion[at][at] for at in range(count)]
    return sorted(sorted(range(count), key=lambda at: (-wrong[at], at))[:MAX_CONFUSED])


def _png(title: str, size: tuple[float, float], draw: Callable[[Any], None]) -> bytes:
    """Draw one picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib, figures = require("matplotlib", EXTRA), require("matplotlib.figure", EXTRA)
    agg = require("matplotlib.backends.backend_agg", EXTRA)
    with matplotlib.rc_context({"font.family": list(families())}):
        figure = figures.Figure(figsize=size, layout="constrained")
        agg.FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="0.9")
        axes.set_axisbelow(True)
        axes.set_title(title, fontsize=10, loc="left")
        draw(axes)
        png = io.BytesIO()
        figure.savefig(png, dpi=120, format="png")
    return png.getvalue()
