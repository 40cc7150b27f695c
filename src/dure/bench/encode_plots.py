"""What was measured of the encoding of sentences, as a page of four panels."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dure.bench.canvas import (
    colour,
    draw_bars,
    draw_line,
    draw_rows,
    draw_stack,
    label,
    log_rates,
    log_sizes,
    save_page,
)
from dure.bench.encode import EncodeReport
from dure.bench.flow_job import OWN, TUTORIAL
from dure.bench.plain_model import STAGES
from dure.bench.timing import Spread

_FAR_APART = 20.0  # from here on, the lower bars could not be seen on a scale from 0
_LINES = {"float32": "-", "float16": "--", "bfloat16": ":"}


def save_plots(report: EncodeReport, path: Path) -> Path:
    """Draw the job, the batch sizes, where the time goes, and the settings; save them as PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    about = report.about
    names = "   ".join(
        f"{d['device']}: {d['name']}" if not d["simulated"] else f"{d['device']}: simulated in host memory"
        for d in about["devices"]
    )
    title = f"{report.model['name']}   {names}\n{about['date']}, commit {about['commit']}; medians, least to greatest"
    stages, settings = _shown_stages(report), _shown_settings(report)
    panels = [
        ("1. The tutorial's job: texts through a Flow, 32 to a request", _jobs if report.jobs else None),
        ("2. The loop in plain PyTorch over batch sizes", _batches if report.points else None),
        (f"3. Where the time of the loop goes, {stages}", _stages if report.points else None),
        (f"4. The loop with one setting changed, and with all, {settings}", _settings if report.settings else None),
    ]
    return save_page(path, title, [(told, draw and partial(draw, report=report)) for told, draw in panels])


def _jobs(axes: Any, report: EncodeReport) -> None:
    devices = list(dict.fromkeys(job.device for job in report.jobs))
    found = {(job.device, job.way): job.docs_per_s for job in report.jobs}
    ways = [way for way in dict.fromkeys(job.way for job in report.jobs) if way not in (TUTORIAL, OWN)]
    draw_bars(axes, devices, {way: [found[device, way] for device in devices] for way in (TUTORIAL, OWN, *ways)})
    label(axes, "", "docs/s")
    _scale(axes, list(found.values()), room=1.3)
    axes.legend(fontsize=8, loc="upper left")


def _batches(axes: Any, report: EncodeReport) -> None:
    for place in report.ended:
        device, dtype = place.split(" ")
        points = [point for point in report.points if (point.device, point.dtype) == (device, dtype)]
        sizes, rates = [p.batch_size for p in points], [p.passes.docs_per_s for p in points]
        shade = colour(report.devices.index(device))
        draw_line(axes, sizes, rates, color=shade, linestyle=_LINES[dtype], label=place)
    log_sizes(axes)
    _scale(axes, [point.passes.docs_per_s for point in report.points], room=1.1)
    label(axes, "texts of a batch", "docs/s")
    sizes = sorted({point.batch_size for point in report.points})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.legend(fontsize=8)


def _scale(axes: Any, rates: Sequence[Spread], *, room: float) -> None:
    """Start at 0 where all of it can be seen from there; leave so many times the greatest for the legend."""
    least, greatest = min(one.least for one in rates), max(one.greatest for one in rates)
    if greatest > _FAR_APART * least:
        axes.set_ylim(10 ** math.floor(math.log10(least)), 6 * greatest)
        log_rates(axes, "")
    else:
        axes.set_ylim(0, room * greatest)


def _stages(axes: Any, report: EncodeReport) -> None:
    shown = _shown_stages(report)
    points = [point for point in report.points if f"{point.device} {point.dtype}" == shown]
    parts = {name: [point.passes.stages[name] for point in points] for name in STAGES}
    parts["rest (Python)"] = [max(0.0, 1.0 - sum(point.passes.stages.values())) for point in points]
    draw_stack(axes, [str(point.batch_size) for point in points], parts)
    label(axes, "texts of a batch", "share of the time")


def _settings(axes: Any, report: EncodeReport) -> None:
    found = [point for point in report.settings if point.device == _shown_settings(report)]
    names = ["\n".join(point.name.replace(": ", ", ").split(", ")) for point in found]
    draw_rows(axes, names, [point.faster for point in found])
    axes.axvline(1.0, color="0.35", linewidth=1, linestyle="--")
    label(axes, "times the tutorial's batches", "")


def _shown_stages(report: EncodeReport) -> str:
    """Return the device and type of which the stages are shown: a GPU, where one was measured."""
    places = list(report.ended)
    gpus = [place for place in places if place.startswith("gpu") and place.endswith("float32")]
    return [*gpus, *places, ""][0]


def _shown_settings(report: EncodeReport) -> str:
    devices = list(dict.fromkeys(point.device for point in report.settings))
    return [*(device for device in devices if device.startswith("gpu")), *devices, ""][0]
