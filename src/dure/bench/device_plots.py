"""What was measured of devices, as a page of four panels: one for each of the chapter's problems."""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dure.bench.canvas import colour, draw_bars, draw_level, draw_line, label, log_rates, log_sizes, save_page
from dure.bench.devices import DeviceReport
from dure.bench.parameters import INSIDE

_DTYPE_MARKS = {"float32": "o", "float16": "^", "bfloat16": "s"}
_WAY_LINES = {INSIDE: "-", "write": "--", "read": ":", "write pinned": (0, (6, 1)), "read pinned": (0, (1, 1))}

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def save_plots(report: DeviceReport, path: Path) -> Path:
    """Draw the four problems and save them as PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    about = report.about
    names = "   ".join(
        f"{d['device']}: {d['name']}" if not d["simulated"] else f"{d['device']}: simulated in host memory"
        for d in about["devices"]
    )
    number = report.traces[0].num_products if report.traces else 0
    panels = [
        ("1. Products of two n x n matrices", _products if report.products else None),
        ("2. Reading, writing and copying arrays", _copies if report.copies else None),
        (f"3. {number:,} products of 100 x 100 and tr(M Mᵀ) of each", _traces if report.traces else None),
        ("4. Two rows of products at once", _overlaps if report.overlaps else None),
    ]
    title = f"{names}\n{about['date']}, commit {about['commit']}; medians, from the least to the greatest sample"
    return save_page(path, title, [(told, draw and partial(draw, report=report)) for told, draw in panels])


def _products(axes: Any, report: DeviceReport) -> None:
    groups = _grouped(report.products, lambda product: (product.device, product.dtype))
    for (device, dtype), found in groups.items():
        shade, sides = colour(report.devices.index(device)), [p.side for p in found]
        mark = _DTYPE_MARKS[dtype]
        draw_line(axes, sides, [p.flops for p in found], color=shade, marker=mark, label=f"{device}, {dtype}")
        moving = [(p.side, p.with_moves.per_second(2.0 * p.side**3)) for p in found if p.with_moves is not None]
        if moving and dtype == "float32":
            told = f"{device}, {dtype}, from the host and back"
            draw_line(axes, [x for x, _ in moving], [y for _, y in moving], color=shade, linestyle="--", label=told)
    log_sizes(axes)
    log_rates(axes, "FLOP/s")
    label(axes, "n", "operations per second")
    sides = sorted({product.side for product in report.products})
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.legend(fontsize=8)


def _copies(axes: Any, report: DeviceReport) -> None:
    for (device, way), found in _grouped(report.copies, lambda copy: (copy.device, copy.way)).items():
        shade, line = colour(report.devices.index(device)), _WAY_LINES[way]
        sizes = [copy.num_bytes for copy in found]
        draw_line(
            axes,
            sizes,
            [copy.bytes_per_s for copy in found],
            color=shade,
            linestyle=line,
            label=f"{device}, {way}",
        )
    log_sizes(axes)
    log_rates(axes, "B/s")
    label(axes, "size of the array", "bytes per second")
    ticks = {2**2: "4 B", 2**8: "256 B", 2**14: "16 KiB", 2**20: "1 MiB", 2**26: "64 MiB", 2**30: "1 GiB"}
    largest = max(copy.num_bytes for copy in report.copies)
    shown = {at: text for at, text in ticks.items() if at <= largest}
    axes.set_xticks(list(shown), list(shown.values()))
    axes.legend(fontsize=8)


def _traces(axes: Any, report: DeviceReport) -> None:
    for device, found in _grouped(report.traces, lambda one: one.device).items():
        looks = [one.num_products // one.every for one in found]
        times = [one.seconds.scaled(1000) for one in found]
        draw_line(axes, looks, times, color=colour(report.devices.index(device)), label=device)
    number = report.traces[0].num_products
    label(axes, "times that values leave the device", "ms")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    counts = sorted({one.num_products // one.every for one in report.traces})
    names = {1: "1\nthe log, at the end", number: f"{number}\neach, printed"}
    axes.set_xticks(counts, [names.get(count, str(count)) for count in counts])
    axes.minorticks_off()
    axes.legend(fontsize=8)


def _overlaps(axes: Any, report: DeviceReport) -> None:
    names = ["\n".join([*found.where.split(", "), f"n = {found.side}"]) for found in report.overlaps]
    draw_bars(axes, names, {"at once": [found.speedup for found in report.overlaps]})
    label(axes, "", "times as fast as one after the other")
    for height, told in ((1.0, "one after the other"), (2.0, "two devices that share nothing")):
        draw_level(axes, height, told)
    axes.set_ylim(0, max(2.4, 1.1 * max(found.speedup.greatest for found in report.overlaps)))


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
