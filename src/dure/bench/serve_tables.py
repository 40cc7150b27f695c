"""What a service did under load, as text for people.

Knows how it is told, and nothing of how it was measured.
"""

from collections.abc import Sequence

from dure.bench.bootstrap import Estimate
from dure.bench.load_point import PERCENTILES, Point
from dure.bench.serve import ServeReport
from dure.bench.table import duration, rate, seconds, table, titled, within
from dure.bench.timing import Spread

_HEADS = ("offered", "answered", *PERCENTILES, "longest", "failed", "steady", "late p99", "load gen.", "valid")


def text_of(report: ServeReport) -> str:
    """Return everything as text."""
    curve, clients = report.curve(), report.clients()
    parts = [_head(report)]
    if clients:
        parts.append(titled("Clients that wait for each answer (closed loop)", _table(clients), _notes(clients)))
    if curve:
        parts.append(titled("Requests at random moments (open loop, Poisson)", _table(curve), _notes(curve)))
    parts.append(titled("What it comes to", *_verdicts(report)))
    return "\n\n".join(parts)


def _head(report: ServeReport) -> str:
    about, work = report.about, report.workload
    texts = f"the lines of {work.texts}" if work.texts else "English sentences"
    if work.words is not None:
        texts = f"{work.words[0]} to {work.words[1]} words of {texts}"
    load = f"{work.docs_per_request} to a request, {texts}; {work.duration_s:g} s a load after {work.warmup_s:g} s"
    lines = [
        work.target if "http" in work.target else f"{work.target}, endpoint {work.endpoint}",
        f"{load} that are discarded; timeout {work.timeout_s:g} s, seed {work.seed}",
        f"dure {about['commit']}, {about['date']}, {about['cpu']}, {about['cores']} cores",
    ]
    if report.is_local:
        shared = f"Load generator and service shared this machine's {about['cores']} cores"
        lines.append(f"{shared}: what the one used, the other lacked.")
    return titled("A service under load", *lines)


def _table(points: Sequence[Point]) -> str:
    return table(_HEADS, [_row(point) for point in points])


def _row(point: Point) -> list[str]:
    late = point.generator.late_s if point.asked.mode == "open" else point.generator.lag_s
    return [
        rate(point.offered, "req/s") if point.asked.mode == "open" else str(point.asked),
        within(_spread(point.answered), "req/s") if point.answered.value else "0 req/s",
        *(_latency(point.latency_s[name], told=name in ("p50", "p99")) for name in PERCENTILES),
        "-" if point.greatest_s is None else seconds(point.greatest_s),
        f"{point.failed:.2%}" if point.failures else "0",
        point.course.verdict,
        seconds(late["p99"]) if late else "-",
        f"{point.generator.cpu_share:.0%} of a core",
        "INVALID" if point.invalid else "yes",
    ]


def _latency(found: Estimate | None, *, told: bool) -> str:
    if found is None:
        return "-"
    return duration(_spread(found)) if told else seconds(found.value)


def _notes(points: Sequence[Point]) -> str:
    lines = [f"{point.asked}: INVALID: {reason}." for point in points for reason in point.invalid]
    for point in points:
        for kind, number in sorted(point.failures.items()):
            lines.append(
                f"{point.asked}: {number} of {point.num_requests} failed, {kind}: {point.messages.get(kind, '')}"
            )
        if point.generator.num_held:
            lines.append(
                f"{point.asked}: {point.generator.num_held} requests waited for a connection (--max-connections)."
            )
    return "\n".join(lines)


def _verdicts(report: ServeReport) -> list[str]:
    lines = []
    if report.capacity is not None:
        lines.append(f"Most answers with clients that wait: {rate(report.capacity, 'req/s')}")
    if report.curve():
        told = "none of the rates" if report.sustained is None else rate(report.sustained, "req/s")
        lines.append(f"Kept up with, up to: {told} (97 % answered at once, 1 % failed at most, no growing queue)")
    if report.knee is not None:
        lines.append(f"Knee: {rate(report.knee, 'req/s')}; most answers per second over {report.percentile} latency")
    lines += [
        "Latency counts from the moment at which a request was to be sent. Failed requests are in no percentile.",
        "In brackets: where the true figure lies in 95 of 100 such runs. -: too few requests to say.",
    ]
    if report.failures:
        lines.append("INVALID: the load generator was the limit, see above. Give it a machine or a core of its own.")
    return lines


def _spread(found: Estimate) -> Spread:
    return Spread(found.value, found.low, found.high, 1)
