"""What was measured of training and prediction, as a page of four panels."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dure.bench.bib import TITLES, BibReport
from dure.bench.canvas import draw_bars, label, save_page
from dure.bench.timing import Spread


def save_plots(report: BibReport, path: Path) -> Path:
    """Draw times of training, scores, times of prediction and the server's cost; save them as PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    about = report.about
    names = "   ".join(f"{told['device']}: {told['name']}" for told in about["devices"])
    title = f"Training and prediction   {names}\n{about['date']}, commit {about['commit']}"
    trained, predicted = bool(report.trainings), bool(report.predictions)
    panels = [
        ("1. Seconds of training", partial(_training, report=report) if trained else None),
        ("2. Scores on unseen texts", partial(_scores, report=report) if trained else None),
        (
            "3. Seconds of prediction, without and with loading",
            partial(_prediction, report=report) if predicted else None,
        ),
        ("4. The library's time over the server's", partial(_service, report=report) if predicted else None),
    ]
    return save_page(path, title, panels)


def _training(axes: Any, report: BibReport) -> None:
    _bars(axes, report.trainings, {"training": lambda point: _one(point.elapsed_s)})
    label(axes, "", "seconds")


def _scores(axes: Any, report: BibReport) -> None:
    _bars(axes, report.trainings, {"accuracy or entity F1": lambda point: _one(next(iter(point.scores.values())))})
    axes.set_ylim(0, 1)


def _prediction(axes: Any, report: BibReport) -> None:
    groups: dict[str, Callable[[Any], Spread]] = {
        "predicting": lambda point: point.predict_s,
        "loading and predicting": lambda point: _one(point.predict_s.median + point.load_s.median),
    }
    _bars(axes, report.predictions, groups)
    label(axes, "", "seconds")
    axes.legend(fontsize=8)


def _service(axes: Any, report: BibReport) -> None:
    _bars(axes, report.predictions, {"server": lambda point: point.against_library})
    axes.axhline(1.0, color="0.35", linewidth=1, linestyle="--")


def _bars(axes: Any, points: Sequence[Any], groups: dict[str, Callable[[Any], Spread]]) -> None:
    names = [f"{TITLES[point.task]}\n{point.device}" for point in points]
    draw_bars(axes, names, {told: [value_of(point) for point in points] for told, value_of in groups.items()})


def _one(value: float) -> Spread:
    return Spread(value, value, value, 1)
