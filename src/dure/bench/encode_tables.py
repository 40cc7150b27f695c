"""What was measured of the encoding of sentences, as text for people."""

from collections.abc import Iterator, Sequence

from dure.bench.batches import BatchPoint, full_at
from dure.bench.encode import EncodeReport
from dure.bench.encoding import Pass
from dure.bench.flow_job import OWN, TUTORIAL, Job
from dure.bench.plain_model import STAGES
from dure.bench.settings import SettingPoint
from dure.bench.table import rate, seconds, size, table, titled, within
from dure.bench.timing import Spread
from dure.device.context import cpu

_TUTORIALS_STEPS = {"cpu": 13.8, "cuda": 104.9}  # on a g4dn.xlarge with one NVIDIA T4, as the page prints them
_REST = "rest"
_HOST = str(cpu())


def text_of(report: EncodeReport) -> str:
    """Return every table with its title and what it says in words."""
    parts = [_about(report), _jobs(report), *_sweeps(report), *_settings(report), _bare(report), _left_out(report)]
    return "\n\n".join(part for part in parts if part)


def _about(report: EncodeReport) -> str:
    about, model, texts = report.about, report.model, report.texts
    rows = [(d["device"], d["name"], d["driver"]) for d in about["devices"]]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    told = [f"{about['date']}, commit {about['commit']}, {about['cores']} cores. {versions}."]
    if texts:
        told.append(
            f"{model['name']} ({model['origin']}), {texts['count']:,} different sentences of"
            f" {texts['mean_tokens']:.0f} tokens on average, {texts['most_tokens']} at most."
        )
    told.append("Medians; the least and the greatest sample beside them. Warm-up is not counted.")
    simulated = _simulated(report)
    if simulated:
        told.append(f"{' and '.join(simulated)}: simulated in host memory; the times are the host's.")
    return titled("Encoding sentences", table(("device", "name", "driver"), rows), "", *told)


def _jobs(report: EncodeReport) -> str:
    if not report.jobs:
        return ""
    heads = ("device", "way", "docs/s", "steps/s", "against the loop")
    rows = [(job.device, *_job_cells(job)) for job in report.jobs]
    title = "1. The tutorial's job: texts through a Flow, 32 to a request"
    note = "The loop runs in this process, over the same texts, in turn with the Flows."
    return titled(title, table(heads, rows), "", *_ratios(report), note)


def _ratios(report: EncodeReport) -> Iterator[str]:
    by_place = {(job.device, job.way): job.docs_per_s.median for job in report.jobs}
    devices = list(dict.fromkeys(job.device for job in report.jobs))
    base = _HOST if _HOST in devices else devices[0]
    for device in (device for device in devices if device not in (base, *_simulated(report))):
        pairs = [(way, by_place[device, way] / by_place[base, way]) for way in (OWN, TUTORIAL)]
        told = ", ".join(f"{ratio:.1f} x ({way})" for way, ratio in pairs)
        theirs = _TUTORIALS_STEPS["cuda"] / _TUTORIALS_STEPS["cpu"]
        yield f"{device} against {base}: {told}. The tutorial printed {theirs:.1f} x, on a T4."
    for device in devices:
        faster = by_place[device, OWN] / by_place[device, TUTORIAL]
        yield f"{device}: {OWN} is {faster:.2f} x {TUTORIAL}."


def _sweeps(report: EncodeReport) -> Iterator[str]:
    for number, (place, points) in enumerate(_by_place(report.points).items()):
        peak = report.peaks.get(place, 0.0)
        heads = ("batch", "docs/s", *STAGES, _REST, "padding", "FLOP/s", "of best product", "memory")
        rows = [(str(point.batch_size), *_pass_cells(point.passes, peak), _memory(point)) for point in points]
        full = full_at(points)
        reached = within(full.passes.docs_per_s, "docs/s")
        told = f"Full with batches of {full.batch_size}: {reached}; {report.ended[place]}."
        best = f"Best product: {rate(peak, 'FLOP/s')}. Operations on padding are not counted." if peak else ""
        note = "Stages by the clock of the device; what is not in them is Python's." if not number else ""
        yield titled(
            f"2. The loop in plain PyTorch over batch sizes, {place}", table(heads, rows), "", told, best, note
        )


def _settings(report: EncodeReport) -> Iterator[str]:
    for device, points in _by_device(report.settings).items():
        heads = ("setting", "docs/s", "faster", *STAGES, _REST, "padding", "least cosine")
        rows = [
            (
                point.name,
                within(point.passes.docs_per_s, "docs/s"),
                _times(point.faster),
                *_stage_cells(point.passes),
                f"{point.passes.padding:.0%}",
                f"{point.least_cosine:.5f}",
            )
            for point in points
        ]
        best = max(points, key=lambda point: point.passes.docs_per_s.median)
        told = f"Best: {best.name}, {_times(best.faster)} the tutorial's batches in the same loop."
        note = "Stages that run side by side add up to more than 100 %."
        yield titled(
            f"3. The loop with one setting changed, and with all, {device}", table(heads, rows), "", told, note
        )


def _bare(report: EncodeReport) -> str:
    if not report.bare:
        return ""
    heads = ("device", "way", "docs/s", "steps/s", "against the loop", "moves (ledger)", "bytes", "seconds")
    rows = [(job.device, *_job_cells(job), *_moved_cells(job)) for job in report.bare]
    return titled("4. SentenceEncoder without a Flow beside the loop with the same batches", table(heads, rows))


def _left_out(report: EncodeReport) -> str:
    return "\n".join(f"FAILED: {failure}" for failure in report.failures)


def _simulated(report: EncodeReport) -> list[str]:
    return [told["device"] for told in report.about["devices"] if told["simulated"]]


def _job_cells(job: Job) -> tuple[str, ...]:
    return job.way, within(job.docs_per_s, "docs/s"), f"{job.steps_per_s.median:,.1f}", _times(job.against_loop)


def _moved_cells(job: Job) -> tuple[str, ...]:
    moved = job.moved
    return ("", "", "") if moved is None else (f"{moved.num_moves:,}", size(moved.num_bytes), seconds(moved.seconds))


def _pass_cells(passes: Pass, peak: float) -> tuple[str, ...]:
    share = f"{passes.flops / peak:.0%}" if peak else ""
    padding, flops = f"{passes.padding:.0%}", rate(passes.flops, "FLOP/s")
    return within(passes.docs_per_s, "docs/s"), *_stage_cells(passes), padding, flops, share


def _stage_cells(passes: Pass) -> tuple[str, ...]:
    rest = max(0.0, 1.0 - sum(passes.stages.values()))
    return *(f"{passes.stages[name]:.1%}" for name in STAGES), f"{rest:.1%}"


def _memory(point: BatchPoint) -> str:
    return "" if point.memory_bytes is None else size(point.memory_bytes)


def _times(spread: Spread) -> str:
    return f"{spread.median:.2f} x ({spread.least:.2f} to {spread.greatest:.2f})"


def _by_place(points: Sequence[BatchPoint]) -> dict[str, list[BatchPoint]]:
    found: dict[str, list[BatchPoint]] = {}
    for point in points:
        found.setdefault(f"{point.device} {point.dtype}", []).append(point)
    return found


def _by_device(points: Sequence[SettingPoint]) -> dict[str, list[SettingPoint]]:
    found: dict[str, list[SettingPoint]] = {}
    for point in points:
        found.setdefault(point.device, []).append(point)
    return found
