"""What a service did under load, as a page: latency over load, answers over load, how latencies are spread, and when.

Knows what is drawn; `dure.bench.canvas` knows how.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dure.bench.bootstrap import Estimate
from dure.bench.canvas import Panel, colour, draw_line, label, log_rates, save_page
from dure.bench.load_point import PERCENTILES, Point, latencies
from dure.bench.serve import ServeReport
from dure.bench.timing import Spread


def save_plots(report: ServeReport, path: Path) -> Path:
    """Draw a report as PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    about = report.about
    shared = ", load generator on the same machine" if report.is_local else ""
    mark = "INVALID: " if report.failures else ""
    title = f"{mark}{report.workload.target}, {about['cpu']}, {about['cores']} cores{shared}, {about['date']}"
    points = report.curve() or report.clients()
    unit = "requests per second, offered" if report.curve() else "clients"
    panels: list[Panel] = [
        (
            "1. Latency, from the moment a request was to be sent",
            partial(_latency, report=report, points=points, unit=unit),
        ),
        ("2. Answers per second", partial(_answers, report=report, points=points, unit=unit)),
        ("3. Share of requests that took longer", partial(_tails, points=points)),
        ("4. Median latency through the run", partial(_time, points=points)),
    ]
    return save_page(path, title, panels)


def _latency(axes: Any, report: ServeReport, points: Sequence[Point], unit: str) -> None:
    for number, name in enumerate(PERCENTILES):
        known = [(_x(point), found) for point in points if (found := point.latency_s[name]) is not None]
        if known:
            xs, ys = [x for x, _ in known], [_spread(found.scaled(1e3)) for _, found in known]
            draw_line(axes, xs, ys, color=colour(number), label=name)
    for point in points:
        found = point.latency_s["p50"]
        if point.invalid and found is not None:
            axes.plot([_x(point)], [found.value * 1e3], marker="x", color="red", markersize=9)
    _mark(axes, report)
    axes.set_xlim(left=0)
    log_rates(axes, "")
    label(axes, unit, "ms")
    axes.legend(fontsize=8, loc="upper left")


def _answers(axes: Any, report: ServeReport, points: Sequence[Point], unit: str) -> None:
    xs = [_x(point) for point in points]
    draw_line(axes, xs, [_spread(point.answered) for point in points], color=colour(0), label="answered")
    if any(point.failures for point in points):
        failed = [point.failed * point.offered for point in points]
        axes.plot(xs, failed, color=colour(1), marker="o", markersize=3.5, label="failed")
    if report.curve():
        axes.plot([0, max(xs)], [0, max(xs)], color="0.35", linewidth=1, linestyle="--", label="as offered")
    _mark(axes, report)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    label(axes, unit, "per second")
    axes.legend(fontsize=8, loc="lower right")


def _tails(axes: Any, points: Sequence[Point]) -> None:
    for number, point in enumerate(points):
        found = np.sort(latencies(point.samples)[1])
        if len(found):
            beyond = 1.0 - np.arange(len(found)) / len(found)
            axes.plot(found * 1e3, beyond, color=_shade(number, points), linewidth=1.3, label=str(point.asked))
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, "ms", "share that took longer")
    axes.legend(fontsize=7, loc="lower left")


def _time(axes: Any, points: Sequence[Point]) -> None:
    for number, point in enumerate(points):
        if point.course.windows:
            xs = [window.start_s for window in point.course.windows]
            ys = [_spread(window.p50.scaled(1e3)) for window in point.course.windows]
            draw_line(axes, xs, ys, color=_shade(number, points), label=f"{point.asked}: {point.course.verdict}")
    if any(point.course.windows for point in points):
        log_rates(axes, "")
        axes.legend(fontsize=7)
    label(axes, "seconds after the warm-up", "ms")


def _mark(axes: Any, report: ServeReport) -> None:
    if report.knee is not None:
        axes.axvline(report.knee, color="0.35", linewidth=1)
        axes.annotate("knee", (report.knee, 0.02), xycoords=("data", "axes fraction"), fontsize=8, color="0.35")
    if report.capacity is not None and report.curve():
        axes.axvline(report.capacity, color="0.35", linewidth=1, linestyle=":")
        place = {"xytext": (3, 0), "textcoords": "offset points", "xycoords": ("data", "axes fraction")}
        axes.annotate("closed loop's best", (report.capacity, 0.97), fontsize=8, color="0.35", **place)


def _x(point: Point) -> float:
    return point.offered if point.asked.mode == "open" else point.asked.amount


def _shade(number: int, points: Sequence[Point]) -> tuple[float, float, float]:
    """Return a colour from light to dark: there may be more loads than colours that differ."""
    depth = number / max(1, len(points) - 1)
    return (0.75 * (1.0 - depth), 0.75 - 0.45 * depth, 0.95 - 0.3 * depth)


def _spread(found: Estimate) -> Spread:
    return Spread(found.value, found.low, found.high, 1)
