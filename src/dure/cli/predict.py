"""`dure predict MODEL TEXTS`: labels of texts, or the entities in them, in colours or as JSON lines.

Knows where texts come from and how predictions are shown. The model runs in this process; how one is served, the
documentation of `dure bib` says.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dure.errors import ValidationError

if TYPE_CHECKING:
    from dure.learning.model import Model
    from dure.store.version import Version

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_TEXTS_AT_ONCE = 1024


@click.command()
@click.argument("model")
@click.argument("texts", nargs=-1)
@click.option("--file", type=_FILE, help="Read one text a line; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each text.")
@click.option("--device", default="cpu", show_default=True, help="Where to predict: cpu, gpu, gpu:1.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Texts of one pass.  [default: what is good for MODEL]")
def predict(model: str, texts: tuple[str, ...], **settings: Any) -> None:
    """Say what MODEL (a name, name@3 or name@alias) sees in TEXTS, in the lines of a file, or in standard input."""
    source = _texts(texts, settings["file"])
    began = time.perf_counter()
    version, loaded = load(model, settings["device"])
    click.echo(f"{version} ({loaded.kind}), loaded in {time.perf_counter() - began:.2f} s", err=True)
    show = _as_json if settings["as_json"] else _shown
    num_texts, elapsed_time_s = 0, 0.0
    while batch := list(itertools.islice(source, _TEXTS_AT_ONCE)):
        began = time.perf_counter()
        predicted = loaded.predict(batch, settings["batch_size"])
        elapsed_time_s += time.perf_counter() - began
        num_texts += len(batch)
        show(batch, predicted, loaded.labels)
    click.echo(f"{num_texts:,} texts in {elapsed_time_s:.2f} s", err=True)


def load(reference: str, device: str) -> "tuple[Version, Model]":
    """Load the model that a reference means.

    Raises:
        ModelNotFound: It is not there; lists those that are.
        ModelError: A file of it is damaged.
        DeviceNotFound: The device is not there.
    """
    from dure.device.context import parse_context
    from dure.device.probe import require_device
    from dure.learning.kinds import load_model
    from dure.store.store import ModelStore

    version = ModelStore().resolve(reference)
    context = parse_context(device)
    require_device(context)
    version.verify()
    return version, load_model(version.folder, context)


def _texts(texts: tuple[str, ...], file: Path | None) -> Iterator[str]:
    if texts and file:
        raise click.UsageError("Give either TEXTS or --file.")
    if texts:
        return iter(texts)
    if file is None and sys.stdin.isatty():
        raise click.UsageError("Nothing to predict: give TEXTS, --file FILE, or standard input.")
    return _lines(file or Path("-"))


def _lines(path: Path) -> Iterator[str]:
    """Yield the text of each line. Lines end at a line feed only: other breaks are text."""
    with click.open_file(str(path), "rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                name = "standard input" if str(path) == "-" else path
                raise ValidationError(f"{name}, line {number}: {error}") from error


def _as_json(texts: Sequence[str], predicted: Sequence[Any], _labels: Iterable[str]) -> None:
    from dataclasses import asdict

    for text, found in zip(texts, predicted, strict=True):
        values = {"entities": [asdict(entity) for entity in found]} if isinstance(found, list) else asdict(found)
        click.echo(json.dumps({"text": text, **values}, ensure_ascii=False))


def _shown(texts: Sequence[str], predicted: Sequence[Any], labels: Sequence[str]) -> None:
    from rich.console import Console

    from dure.learning.highlight import in_brackets, in_terminal

    console = Console(highlight=False, soft_wrap=True)
    for text, found in zip(texts, predicted, strict=True):
        if not isinstance(found, list):
            click.echo(f"{found.score:.3f}  {found.label}  {in_brackets(text, [])}")
        elif console.is_terminal:
            console.print(in_terminal(text, found, labels))
        else:
            click.echo(in_brackets(text, found))
