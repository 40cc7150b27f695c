"""`dure bench`: measurements that a person can read, of the devices of this machine and of the encoding of sentences.

Knows the options; what is measured, and how, is `dure.bench`'s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dure.bench.results import Report
    from dure.bench.session import Session
    from dure.device.context import Context

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def bench() -> None:
    """Measure the devices of this machine."""


def _common(command: F) -> F:
    options = [
        click.option(
            "--device", "names", multiple=True, metavar="NAME", help="cpu, gpu:1, …; repeatable. All present."
        ),
        click.option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            default="bench-results",
            show_default=True,
            help="Folder for the figures (JSON), the tables and the plots (PNG).",
        ),
        click.option("--quick", is_flag=True, help="Small sizes and few repetitions: to see what it does."),
        click.option("--no-plots", is_flag=True, help="Draw nothing; matplotlib is not needed then."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@bench.command()
@_common
def devices(names: tuple[str, ...], out: Path, quick: bool, no_plots: bool) -> None:
    """Products, copies, logs and two devices at once: the CPU against every GPU."""
    from dure.bench.device_plots import save_plots
    from dure.bench.device_tables import text_of
    from dure.bench.devices import FULL_EFFORT, QUICK_EFFORT, measure

    session = _session(names, no_plots=no_plots)
    report = measure(session, QUICK_EFFORT if quick else FULL_EFFORT)
    draw = None if no_plots else lambda path: save_plots(report, path)
    _show(report, "devices-quick" if quick else "devices", out, text_of(report), draw)


@bench.command()
@_common
@click.option("--model", default="all-MiniLM-L6-v2", show_default=True, help="Name or folder of a model.")
@click.option("--docs", "num_texts", type=click.IntRange(min=1), help="Different sentences, at most.  [default: 10000]")
def encode(names: tuple[str, ...], out: Path, quick: bool, no_plots: bool, model: str, num_texts: int | None) -> None:
    """The tutorial's job, batch sizes and settings: sentences to embeddings on every device."""
    from dataclasses import replace

    from dure.bench.encode import FULL_EFFORT, QUICK_EFFORT, measure
    from dure.bench.encode_plots import save_plots
    from dure.bench.encode_tables import text_of

    session = _session(names, no_plots=no_plots)
    effort = QUICK_EFFORT if quick else FULL_EFFORT
    report = measure(session, model, effort if num_texts is None else replace(effort, num_texts=num_texts))
    draw = None if no_plots else lambda path: save_plots(report, path)
    _show(report, "encode-quick" if quick else "encode", out, text_of(report), draw)


def _session(names: Sequence[str], *, no_plots: bool) -> "Session":
    from dure.bench.canvas import require_plots
    from dure.bench.session import Session

    session = Session(_contexts(names), lambda line: click.echo(line, err=True))
    if not no_plots:
        require_plots()
    return session


def _contexts(names: Sequence[str]) -> "list[Context]":
    from dure.bench.devices import present
    from dure.device.context import parse_context
    from dure.device.library import place_of

    if not names:
        return present()
    # Each once, and all of them are there before anything is measured.
    return list(dict.fromkeys(place_of(parse_context(name)).context for name in names))


def _show(report: "Report", kind: str, out: Path, text: str, draw: Callable[[Path], object] | None) -> None:
    from dure.bench.results import save

    click.echo(text)
    paths = save(report, kind, out, text, draw)
    click.echo(f"\nSaved: {', '.join(map(str, paths))}")
    if report.failures:
        click.get_current_context().exit(1)
