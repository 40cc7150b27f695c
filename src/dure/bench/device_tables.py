"""What was measured of devices, as text for people."""

from collections.abc import Iterator, Sequence

from dure.bench.devices import DeviceReport
from dure.bench.parameters import INSIDE, Copy, best, ceiling
from dure.bench.products import Product, wins_from
from dure.bench.table import duration, rate, seconds, size, table, titled, within
from dure.bench.timing import Spread
from dure.device.context import cpu

_HOST = str(cpu())


def text_of(report: DeviceReport) -> str:
    """Return every table with its title and what it says in words."""
    parts = [
        _about(report),
        _products(report) if report.products else "",
        _copies(report) if report.copies else "",
        _accesses(report) if report.accesses else "",
        _traces(report) if report.traces else "",
        _overlaps(report) if report.overlaps else "",
        _overheads(report) if report.overheads else "",
        "\n".join(f"FAILED: {failure}" for failure in report.failures),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(report: DeviceReport) -> str:
    about = report.about
    rows = [(d["device"], d["name"], d["driver"]) for d in about["devices"]]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    told = f"{about['date']}, commit {about['commit']}, {about['cores']} cores. {versions}."
    how = "Medians; the least and the greatest sample beside them. Warm-up is not counted."
    simulated = _simulated(report)
    warning = f"{' and '.join(simulated)}: simulated in host memory; the times are the host's." if simulated else ""
    return titled("Devices", table(("device", "name", "driver"), rows), "", told, how, warning)


def _products(report: DeviceReport) -> str:
    columns = [(device, dtype) for device in report.devices for dtype in _dtypes(report, device)]
    by_place = {(p.device, p.dtype, p.side): p for p in report.products}
    sides = sorted({p.side for p in report.products})
    rows = []
    for side in sides:
        found = [by_place.get((device, dtype, side)) for device, dtype in columns]
        rows.append((str(side), *(_product_cell(product, report) for product in found)))
    title = "1. Products of two n x n matrices: operations per second (2 n^3 to a product)"
    heads = ("n", *(f"{device} {dtype}" for device, dtype in columns))
    best_rows = [
        (f"{device} {dtype}", rate(report.flops_ceiling(device, dtype), "FLOP/s")) for device, dtype in columns
    ]
    return titled(title, table(heads, rows), "", *_with_moves(report), "", table(("ceiling: best", "rate"), best_rows))


def _with_moves(report: DeviceReport) -> Iterator[str]:
    others = [device for device in report.devices if device != _HOST]
    for device in others:
        rows = [
            (str(p.side), seconds(p.seconds.median), duration(p.with_moves), _share(p.moved.seconds, p.with_moves))
            for p in report.products
            if p.device == device and p.dtype == "float32" and p.with_moves is not None and p.moved is not None
        ]
        heads = ("n, float32", f"{device}, matrices there", "from the host and back", "of that moving (ledger)")
        yield table(heads, rows)
        if _HOST in report.devices and device not in _simulated(report):
            there, moving = (wins_from(report.products, device, moves=moves) for moves in (False, True))
            yield f"{device} is faster than {_HOST} {_from(there)}; from the host and back, {_from(moving)}."


def _copies(report: DeviceReport) -> str:
    columns = list(dict.fromkeys((copy.device, copy.way) for copy in report.copies))
    by_place = {(c.device, c.way, c.num_bytes): c for c in report.copies}
    sizes = sorted({copy.num_bytes for copy in report.copies})
    rows = [
        (size(number), *(_copy_cell(by_place.get((device, way, number))) for device, way in columns))
        for number in sizes
    ]
    heads = ("size", *(f"{device} {way}" for device, way in columns))
    told = [
        f"{device}: inside, {rate(ceiling(report.copies, device), 'B/s')} at the largest size; at best"
        f" {_best_ways(report, device)}."
        for device in report.devices
        if any(copy.device == device for copy in report.copies)
    ]
    return titled("2. Reading and writing: bytes per second, by size of the array", table(heads, rows), "", *told)


def _accesses(report: DeviceReport) -> str:
    rows = [
        (
            f"{found.device} {found.way}",
            duration(found.one_by_one),
            duration(found.at_once),
            f"{found.one_by_one.median / found.at_once.median:,.0f} x",
            f"{found.moved_one_by_one.num_moves} / {found.moved_at_once.num_moves}",
        )
        for found in report.accesses
    ]
    number = report.accesses[0].num_values
    heads = ("weights of a layer", "one by one", "at once", "gain", "moves (ledger)")
    note = "A number that is written is an argument of the call, not an array: the ledger counts no move for it."
    return titled(f"2. Reading and writing {number:,} parameters", table(heads, rows), note)


def _traces(report: DeviceReport) -> str:
    rows = [
        (
            found.device,
            _looked(found.every, found.num_products),
            duration(found.seconds),
            f"{found.slower.median:.2f} x ({found.slower.least:.2f} to {found.slower.greatest:.2f})",
            f"{found.moved.num_moves}",
            f"{found.moved.num_bytes}",
        )
        for found in report.traces
    ]  # fmt: skip
    number = report.traces[0].num_products
    heads = ("device", "looked at", "time", "against once", "moves", "bytes")
    return titled(f"3. {number:,} products of 100 x 100, tr(M M^T) of each", table(heads, rows))


def _overlaps(report: DeviceReport) -> str:
    rows = [
        (
            found.where,
            str(found.side),
            duration(found.one_by_one),
            duration(found.at_once),
            f"{found.speedup.median:.2f} x ({found.speedup.least:.2f} to {found.speedup.greatest:.2f})",
        )
        for found in report.overlaps
    ]
    heads = ("at once on", "n", "one after the other", "at once", "faster")
    number = report.overlaps[0].num_products
    title = f"4. Twice {number} products of n x n, at once and one after the other on one device"
    alone = not any(" and " in found.where for found in report.overlaps)
    note = "There are no two GPUs here: one device shares itself." if alone else ""
    return titled(title, table(heads, rows), note)


def _overheads(report: DeviceReport) -> str:
    rows = [
        (
            f"{found.device} {found.operator}",
            f"{found.side} x {found.side}",
            seconds(found.bare.median),
            seconds(found.ours.median),
            f"{found.ratio.median:.3f} ({found.ratio.least:.2f} to {found.ratio.greatest:.2f})",
            f"{found.added_s * 1e6:+.2f} µs",
        )
        for found in report.overheads
    ]
    heads = ("operator", "arrays", report.about["array_library"], "nd", "ratio", "added")
    return titled("5. What the check of contexts costs, in turn with the bare library", table(heads, rows))


def _dtypes(report: DeviceReport, device: str) -> list[str]:
    return list(dict.fromkeys(p.dtype for p in report.products if p.device == device))


def _product_cell(product: Product | None, report: DeviceReport) -> str:
    if product is None:
        return ""
    share = product.flops.median / report.flops_ceiling(product.device, product.dtype)
    return f"{share:.0%} of best, {within(product.flops, 'FLOP/s')}"


def _copy_cell(copy: Copy | None) -> str:
    return "" if copy is None else within(copy.bytes_per_s, "B/s")


def _share(part_s: float, whole: Spread) -> str:
    return f"{min(1.0, part_s / whole.median):.0%}"


def _from(side: int | None) -> str:
    return "at no size measured" if side is None else f"from n = {side} on"


def _best_ways(report: DeviceReport, device: str) -> str:
    ways: Sequence[str] = list(dict.fromkeys(copy.way for copy in report.copies if copy.device == device))
    told = [f"{way} {rate(best(report.copies, device, way), 'B/s')}" for way in ways if way != INSIDE]
    return ", ".join(told) or f"{rate(best(report.copies, device, INSIDE), 'B/s')}, from the caches"


def _looked(every: int, num_products: int) -> str:
    if every == num_products:
        return "once, at the end"
    return "each, printed" if every == 1 else f"after every {every}"


def _simulated(report: DeviceReport) -> list[str]:
    return [told["device"] for told in report.about["devices"] if told["simulated"]]
