"""`dure bench`: measurements that a person can read, of devices, models and services.

Knows the options; what is measured, and how, is `dure.bench`'s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from dure.bench.results import Report
    from dure.bench.session import Session
    from dure.bench.workload import Workload
    from dure.device.context import Context

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def bench() -> None:
    """Measure devices, the encoding of sentences, training and prediction, and services under load."""


_out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="bench-results",
    show_default=True,
    help="Folder for the figures (JSON), the tables and the plots (PNG).",
)


def _common(command: F) -> F:
    options = [
        click.option(
            "--device", "names", multiple=True, metavar="NAME", help="cpu, gpu:1, …; repeatable. All present."
        ),
        _out,
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


_TWO_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


@bench.command()
@_common
@click.option("--tc", type=_TWO_FILES, nargs=2, metavar="TRAIN TEST", help="Files of labelled texts.")
@click.option("--ner", type=_TWO_FILES, nargs=2, metavar="TRAIN TEST", help="Files of texts with entities.")
@click.option("--epochs", type=click.IntRange(min=1), help="Of training.  [default: what is good for the model]")
@click.option("--encoder", help="Fine-tune this encoder.  [default: models from nothing]")
def bib(names: tuple[str, ...], out: Path, quick: bool, no_plots: bool, **settings: Any) -> None:
    """Train and predict, both tasks on every device: times, ratios and scores, as in the post that BIB comes from.

    Without files, on data that every machine has: docstrings by their module, and sentences that ship with dure.
    """
    from dataclasses import replace

    from dure.bench.bib import QUICK, Plan, measure
    from dure.bench.bib_data import samples, set_of_files
    from dure.bench.bib_plots import save_plots
    from dure.bench.bib_tables import markdown_of, text_of

    session = _session(names, no_plots=no_plots)
    pairs: list[tuple[Literal["tc", "ner"], Any]] = [("tc", settings["tc"]), ("ner", settings["ner"])]
    sets = [set_of_files(task, *files) for task, files in pairs if files] or samples()
    plan = replace(QUICK if quick else Plan(), encoder=settings["encoder"])
    if settings["epochs"]:
        plan = replace(plan, epochs=settings["epochs"])
    report = measure(session, sets, plan)
    draw = None if no_plots else lambda path: save_plots(report, path)
    _show(report, "bib-quick" if quick else "bib", out, text_of(report), draw, markdown_of(report))


@bench.command()
@click.argument("target")
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    metavar="R",
    help="Requests per second.",
)
@click.option("--clients", type=click.IntRange(min=1), multiple=True, metavar="N", help="Clients at once.")
@click.option("--duration", "duration_s", type=click.FloatRange(min=0, min_open=True), help="Seconds of each load.")
@click.option("--warmup", "warmup_s", type=click.FloatRange(min=0), help="Seconds before that, discarded.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds after which a request without an answer has failed.",
)
@click.option(
    "--docs-per-request", type=click.IntRange(min=1), default=1, show_default=True, help="Texts in a request."
)
@click.option("--endpoint", default="/", show_default=True, help="Of a Flow.")
@click.option("--body", help='Of plain HTTP, as JSON or @FILE.  [default: {"texts": ["{text}"]}]')
@click.option("--texts", type=click.Path(exists=True, dir_okay=False), help="One text a line.  [default: sentences]")
@click.option("--words", type=int, nargs=2, metavar="MIN MAX", help="Texts of mixed lengths, of the same words.")
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Requests under way at once; further ones wait, and that counts.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same moments and texts."
)
@click.option("--name", default="", help="Told apart in the names of the files.")
@_out
@click.option("--quick", is_flag=True, help="Seconds instead of minutes: to see what it does.")
@click.option("--no-plots", is_flag=True, help="Draw nothing; matplotlib is not needed then.")
def serve(target: str, out: Path, name: str, no_plots: bool, **settings: Any) -> None:
    """Put a service under load: --rate at random moments (open loop), --clients that wait (closed loop).

    TARGET is a Flow (HOST:PORT, grpc://HOST:PORT, native://HOST:PORT), a model of the Open Inference Protocol
    (oip+http://HOST:PORT/MODEL) or anything that takes JSON (http://HOST:PORT/PATH). Without rates and clients, the
    capacity is found first, and rates up to beyond it follow. Both can be given several times.

    Ends with 1 where the load generator was the limit: the figures are then INVALID.
    """
    from dure.bench.canvas import require_plots
    from dure.bench.serve import measure
    from dure.bench.serve_plots import save_plots
    from dure.bench.serve_tables import text_of

    workload = _workload(target, settings)
    if not no_plots:
        require_plots()
    report = measure(workload, lambda line: click.echo(line, err=True))
    draw = None if no_plots else lambda path: save_plots(report, path)
    kind = "-".join(filter(None, ("serve", name, "quick" if workload.quick else "")))
    _show(report, kind, out, text_of(report), draw)


def _workload(target: str, settings: dict[str, Any]) -> "Workload":
    from dure.bench.workload import Workload

    quick = settings["quick"]
    given = {key: value for key, value in settings.items() if value is not None}
    body = given.get("body", "")
    if body.startswith("@"):
        try:
            given["body"] = Path(body[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{body[1:]} cannot be read: {error}", param_hint="--body") from error
    lengths = {"duration_s": 2.0, "warmup_s": 0.3} if quick else {}
    return Workload(target, **{**lengths, **given})


@bench.command()
@click.argument("first", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("second", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Compare two JSON files of `dure bench serve`: the SECOND over the FIRST, and whether they differ at all.

    Ends with 1 where one of them is INVALID, or they have no load in common.
    """
    from dure.bench.serve_comparison import compared, read, text_of

    runs = read(first), read(second)
    ratios = compared(*runs)
    click.echo(text_of(*runs, ratios))
    if not ratios or any(run.failures for run in runs):
        click.get_current_context().exit(1)


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


def _show(
    report: "Report", kind: str, out: Path, text: str, draw: Callable[[Path], object] | None, markdown: str = ""
) -> None:
    from dure.bench.results import save

    click.echo(text)
    paths = save(report, kind, out, text, draw, markdown)
    click.echo(f"\nSaved: {', '.join(map(str, paths))}")
    if report.failures:
        click.get_current_context().exit(1)
