"""`dure client post`: texts or JSON lines in, JSON lines out.

Knows where Documents are read from and written to; how they travel, dure.client knows. Neither side
is ever held in memory as a whole.
"""

import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from dure.cli.options import given, spec_options
from dure.errors import ValidationError
from dure.spec import ClientSpec, GatewaySpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.group()
def client() -> None:
    """Send Documents to a Flow."""


def json_object(_ctx: click.Context, _option: click.Parameter, text: str | None) -> dict[str, Any]:
    """Read the JSON object that an option holds; nothing is an empty one."""
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"{text!r} is not a JSON object such as '{{\"top_k\": 5}}'")
    return value


@client.command()
@click.argument("texts", nargs=-1)
@click.option("--host", default=GatewaySpec().host, show_default=True, help="Address of the Flow.")
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Port of the Flow.")
@click.option("--on", default="/", show_default=True, help="Endpoint.")
@click.option("--parameters", callback=json_object, help="A JSON object for the Executors; types are kept.")
@click.option("--lines", type=_FILE, help="Read one text a line; - is standard input.")
@click.option("--jsonl", type=_FILE, help="Read one Document as JSON a line; - is standard input.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here, not to standard output.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress.  [default: unless results go to a terminal]",
)
@spec_options(ClientSpec)
def post(texts: tuple[str, ...], **settings: Any) -> None:
    """Send TEXTS, a file's lines or standard input; write what comes back, one Document a line.

    An API key is best given in the environment variable DURE_KEY, where other users do not see it.
    """
    settings["key"] = settings["key"] or os.environ.get("DURE_KEY")  # a command line is seen by every user
    documents = _documents(texts, settings["lines"], settings["jsonl"])
    output = settings["output"]
    _refuse_same_file(output, settings["lines"] or settings["jsonl"])
    progress = settings["progress"]
    if progress is None:
        progress = output is not None or not sys.stdout.isatty()

    from dure.client.client import Client  # after the checks, which need nothing heavy

    with (
        Client(settings["host"], settings["port"], **given(ClientSpec, settings)) as connection,
        click.open_file(output or "-", "w", encoding="utf-8") as sink,
    ):
        answers = connection.stream(
            on=settings["on"],
            inputs=documents,
            parameters=settings["parameters"],
            show_progress=progress,
        )
        for docs in answers:
            _write(docs, sink)


def _write(docs: Any, sink: IO[str]) -> None:
    for doc in docs:
        sink.write(f"{doc.to_json()}\n")
    sink.flush()


def _documents(texts: tuple[str, ...], lines: Path | None, jsonl: Path | None) -> "Iterable[Any]":
    """Choose the one source that was named.

    Raises:
        click.UsageError: Several sources were named, or none and standard input is a terminal.
    """
    from dure.document.files import read_jsonl

    if sum(map(bool, (texts, lines, jsonl))) > 1:
        raise click.UsageError("Give either TEXTS, or --lines, or --jsonl.")
    if texts:
        return texts
    if jsonl:
        return read_jsonl("/dev/stdin" if str(jsonl) == "-" else jsonl)
    if lines is None and sys.stdin.isatty():
        raise click.UsageError("Nothing to send: give TEXTS, --lines FILE, --jsonl FILE, or standard input.")
    return _read_lines(lines or Path("-"))


def _read_lines(path: Path) -> "Iterator[str]":
    """Yield the text of each line. Lines end at a line feed only: other breaks are text.

    Raises:
        ValidationError: A line is not UTF-8; names the file and the line.
    """
    with click.open_file(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                name = "standard input" if str(path) == "-" else path
                raise ValidationError(f"{name}, line {number}: {error}") from error


def _refuse_same_file(output: Path | None, source: Path | None) -> None:
    """Opening the output would empty the input before it is read."""
    if output and source and output.exists() and str(source) != "-" and os.path.samefile(output, source):
        raise click.UsageError(f"--output is the file that is read: {output}")
