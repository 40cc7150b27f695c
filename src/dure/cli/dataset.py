"""What the commands that read data sets have in common: the options that say how, and what is told of the rows.

Knows options; how a file is read, `dure.dataset` knows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dure.dataset.dataset import Dataset, Task

Command = TypeVar("Command", bound=Callable[..., Any])

DATA_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FORMATS = ("csv", "tsv", "tsv-quoted", "jsonl", "parquet", "conll", "klue")
_OPTIONS = (
    click.option("--format", type=click.Choice(_FORMATS), help="Format of the data.  [default: by the file's name]"),
    click.option("--text-column", help="Name of the column with the text, or its number from 1."),
    click.option("--label-column", help="Name of the column with the label or the tags, or its number from 1."),
    click.option("--encoding", help="cp949 allows that besides UTF-8; any other is taken at its word."),
)


def data_options(command: Command) -> Command:
    """Add the options that say how a data set is read."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read(path: Path, task: "Task", settings: dict[str, Any]) -> "Dataset":
    """Read a data set as the options say.

    Raises:
        SpecError: An option makes no sense.
        ValidationError: The file cannot be used.
    """
    from dure.dataset.reading import read_examples

    return read_examples(
        path,
        task,
        format=settings["format"],
        text_column=settings["text_column"],
        label_column=settings["label_column"],
        encoding=settings["encoding"],
    )
