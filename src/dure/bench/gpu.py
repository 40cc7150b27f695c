"""The program behind `make bench-gpu`: all that is to be known of a GPU, measured in minutes by one command.

    python -m dure.bench.gpu [--model DIR] [--out benchmarks/results]

Needs no network and no installed dure (PYTHONPATH=src). The GPU comes first, so that what there is no time for is the
CPU's; results are saved as soon as they are there.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

from dure.bench import device_plots, devices, encode, encode_plots
from dure.bench.canvas import require_plots
from dure.bench.clock import is_real_gpu
from dure.bench.device_tables import text_of as device_text
from dure.bench.encode_tables import text_of as encode_text
from dure.bench.results import Report, save
from dure.bench.session import Session
from dure.device.context import Context, cpu
from dure.device.probe import inventory
from dure.errors import DeviceNotFound, DureError

_TOLD_MODEL = "all-MiniLM-L6-v2"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save everything; return the exit status."""
    began = monotonic()
    options = _options(arguments)

    def tell(line: str) -> None:
        sys.stderr.write(f"[{monotonic() - began:4.0f} s] {line}\n")
        sys.stderr.flush()

    try:
        gpus = found_gpus()
        if options.plots:
            require_plots()
    except DureError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    session = Session([*gpus, cpu()], tell, options.commit, lambda: monotonic() - began < options.limit)
    works = [_devices, _encode]
    return max([work(session, options) for work in works])


def found_gpus() -> list[Context]:
    """Return the GPUs that can be measured.

    Raises:
        DeviceNotFound: There is none; says why.
    """
    found = inventory()
    if not found.gpus:
        raise DeviceNotFound(f"There is no GPU to measure: {found.missing}")
    gpus = [info.context for info in found.gpus if is_real_gpu(info.context)]
    if not gpus:
        raise DeviceNotFound("There is no GPU to measure: those present are simulated.")
    return gpus


def _devices(session: Session, options: argparse.Namespace) -> int:
    report = devices.measure(session, devices.QUICK_EFFORT if options.quick else devices.FULL_EFFORT)
    return _kept(report, "devices", device_text(report), lambda path: device_plots.save_plots(report, path), options)


def _encode(session: Session, options: argparse.Namespace) -> int:
    effort = encode.QUICK_EFFORT if options.quick else encode.FULL_EFFORT
    try:
        report = encode.measure(session, options.model, replace(effort, num_texts=options.docs or effort.num_texts))
    except DureError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return _kept(report, "encode", encode_text(report), lambda path: encode_plots.save_plots(report, path), options)


def _kept(report: Report, kind: str, text: str, draw: Callable[[Path], object], options: argparse.Namespace) -> int:
    name = f"{kind}-quick" if options.quick else kind
    paths = save(report, name, options.out, text, draw if options.plots else None)
    sys.stdout.write(f"{text}\n\nSaved: {', '.join(map(str, paths))}\n\n")
    sys.stdout.flush()
    return 1 if report.failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dure.bench.gpu", description="Measure a GPU beside the CPU.")
    parser.add_argument("--model", default=_TOLD_MODEL, help="name or folder of a model (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="default: %(default)s")
    parser.add_argument("--docs", type=int, help="different sentences, at most")
    parser.add_argument("--limit", type=float, default=400, help="begin nothing after so many seconds (%(default)s)")
    parser.add_argument("--commit", default="", help="what is measured, where it is no git checkout")
    parser.add_argument("--quick", action="store_true", help="small sizes and few repetitions")
    parser.add_argument("--no-plots", dest="plots", action="store_false", help="draw nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
