"""The tutorial's job on the CPU and on a GPU: docs/s of a Flow on each, their ratio, and what the bare model reaches.

    python benchmarks/gpu.py [--model DIR] [--devices cpu cuda] [--limit SECONDS]

Needs no network and no installed dure (PYTHONPATH=src). On each device a Flow and a bare loop of `encode` take turns;
then the loop alone, and a Flow beside it, are measured over batch sizes and types of numbers. What does not fit into
the time is left out and said to be.
"""

import argparse
import contextlib
import itertools
import json
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
import report
from dure.bench import corpus
from dure.device.probe import inventory
from processes import Program
from report import Row, raw
from rows.encoder import OWN, REQUEST_SIZE, Rounds, flow_of, model_folder, same_threads
from series import Series

BEGAN = time.perf_counter()
SIZES = (32, 64, 128, 256, 512, 1024)
TYPES = ("float32", "float16", "bfloat16")
TUTORIAL_RATIO = 7


@dataclass(frozen=True)
class Job:
    """What is measured with, and when it has to end."""

    model: Path
    texts: list[str]
    texts_file: Path
    end_s: float
    rounds: int = 3
    pass_s: float = 3.0

    @property
    def has_time(self) -> bool:
        return time.perf_counter() - BEGAN < self.end_s

    def bare(self, device: str) -> Program:
        return Program("bare_encoder.py", str(self.model), device, str(self.texts_file), env=same_threads())


def main() -> int:
    options = read_options()
    model = options.model or model_folder()
    stdlib = Path(sysconfig.get_path("stdlib"))
    texts = list(itertools.islice(corpus.distinct(stdlib), options.count))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        texts_file = Path(folder) / "texts.json"
        texts_file.write_text(json.dumps(texts), encoding="utf-8")
        job = Job(model, texts, texts_file, options.limit)
        rows = list(measure(job, options.devices))
    gpus = inventory().gpus
    what = {
        "date": report.today(),
        **machine.describe(),
        "rounds": job.rounds,
        "gpus": [{"name": gpu.name, "driver": gpu.driver, "memory_bytes": gpu.memory_total_bytes} for gpu in gpus],
        "sentences": len(texts),
        "seconds": round(time.perf_counter() - BEGAN),
    }
    shown = ", ".join(f"{gpu.name} (driver {gpu.driver})." for gpu in gpus) or f"No GPU: {inventory().missing}"
    print(f"{shown} {report.about(what)}\n{report.markdown(rows)}")
    path = report.save("gpu", what, rows, gpus[0].name if gpus else "")
    tell(f"raw numbers: {path.relative_to(machine.ROOT)}, {what['seconds']} s")
    return 1 if any(row.failed for row in rows) else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The tutorial's job on the CPU and on a GPU.")
    parser.add_argument("--model", type=Path, help="folder of all-MiniLM-L6-v2 (default: that of the package)")
    parser.add_argument("--devices", nargs="+", default=["cpu", "cuda"], help="default: cpu cuda")
    parser.add_argument("--count", type=int, default=8192, help="different sentences, at most (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=240, help="begin nothing after so many seconds (%(default)s)")
    return parser.parse_args()


def tell(text: str) -> None:
    print(f"[{time.perf_counter() - BEGAN:4.0f} s] {text}", file=sys.stderr, flush=True)


def measure(job: Job, devices: Sequence[str]) -> Iterator[Row]:
    rates: dict[str, Series] = {}
    for device in devices:
        missing = inventory().missing
        if device != "cpu" and missing:
            yield Row(f"SentenceEncoder in a Flow on `{device}`", f"could not be measured: {missing}", failed=True)
            continue
        tell(f"{device}: loading the model twice")
        with job.bare(device) as bare:
            name = bare.answer()["device"]
            found, count = _take_turns(job, bare, device)
            rates[device] = found["flow.docs_per_s"]
            yield Row(
                f"SentenceEncoder in a Flow, request_size {REQUEST_SIZE}, its own batches, {count:,} sentences: {name}",
                f"{rates[device].text()} docs/s; {found['flow.ratio'].text(2)} x a loop of encode"
                f" ({found['loop.docs_per_s'].text()})",
                samples=raw(found),
            )
            if device != "cpu":
                yield from _sweep(job, bare, device)
    first, *others = rates or [""]
    for device in others:
        ratio = rates[device].median / rates[first].median
        yield Row(f"`{device}` against `{first}`", f"{ratio:.1f} x", f"tutorial: {TUTORIAL_RATIO} x on a T4")


def _take_turns(job: Job, bare: Program, device: str) -> tuple[dict[str, Series], int]:
    settings = {"uses_with": {"model": str(job.model.resolve()), "device": device}}
    rounds = Rounds(bare, job.texts, job.pass_s)
    with flow_of(OWN, settings, job.model) as flow:
        rounds.warm_up(flow)
        for number in range(job.rounds):
            ratio = rounds.run("flow", flow)
            tell(f"{device}: round {number + 1} of {job.rounds}, {ratio:.2f} x the loop")
    return {key: Series.of(values) for key, values in rounds.samples.items()}, rounds.count


def _sweep(job: Job, bare: Program, device: str) -> Iterator[Row]:
    settings = {
        "uses_with": {"model": str(job.model.resolve()), "device": device, "batch_size": max(SIZES)},
        "batching": {"max_batch_size": 1},
    }
    with contextlib.ExitStack() as stack:
        tell(f"{device}: loading the model for requests of other sizes")
        flow = stack.enter_context(flow_of(OWN, settings, job.model))
        for size in SIZES:
            if not job.has_time:
                yield Row(f"Flow and loop, {size} a request", "skipped: no time left")
                continue
            rounds = Rounds(bare, job.texts, job.pass_s / 2, size)
            rounds.warm_up(flow)
            for _ in range(job.rounds):
                rounds.run("flow", flow)
            found = {key: Series.of(values) for key, values in rounds.samples.items()}
            tell(f"{device}: {size} a request: {found['flow.ratio'].median:.2f} x the loop")
            yield Row(
                f"Flow without merging and loop, float32, {size} sentences a request",
                f"{found['flow.docs_per_s'].text()} docs/s, {found['flow.ratio'].text(2)} x the loop"
                f" ({found['loop.docs_per_s'].text()})",
                samples=raw(found),
            )
    for dtype, size in itertools.product(TYPES, SIZES):
        if not job.has_time:
            yield Row(f"loop alone, {dtype}, batches of {size}", "skipped: no time left")
            continue
        question = {"size": size, "count": len(job.texts), "dtype": dtype}
        bare.ask({**question, "count": 2 * size})
        rate = Series.of([len(job.texts) / bare.ask(question)["seconds"] for _ in range(2)])
        tell(f"{device}: {dtype}, batches of {size}: {rate.median:,.0f} docs/s")
        yield Row(
            f"loop alone, {dtype}, batches of {size}", f"{rate.text()} docs/s", samples={"docs_per_s": rate.values}
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except report.Skipped as reason:
        sys.exit(f"{reason}; give its folder with --model")
