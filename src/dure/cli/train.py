"""`dure train tc|ner DATA --model-name NAME`: a model out of a file of labelled or tagged texts.

Knows what is asked for and what is shown. A training is a job, done by a worker in a process of its own; only one that
is validated on a file of its own is done here.
"""

import contextlib
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from dure.cli.bar import bar
from dure.cli.crew import check_place, crew_of, crew_options, train_in_crew
from dure.cli.dataset import DATA_FILE, data_options, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dure.bib.job import Event
    from dure.cli.bar import Advance
    from dure.dataset.dataset import Dataset
    from dure.learning.kinds import Examples
    from dure.learning.progress import Progress
    from dure.learning.recipe import Recipe
    from dure.store.version import Version

_RECIPE = (
    *("epochs", "train_rate", "seed", "device", "encoder", "batch_size", "accumulate", "learning_rate"),
    *("patience", "refit", "class_weights", "precision", "shares"),
)


@click.command()
@click.argument("task", type=click.Choice(["tc", "ner"]))
@click.argument("data", type=DATA_FILE)
@click.option("--model-name", required=True, help="Under which the model is kept; a new version if it is there.")
@click.option("--epochs", type=int, help="How often every row is seen.  [default: what is good for the model]")
@click.option("--train-rate", type=float, default=0.9, show_default=True, help="Share of the rows that is learnt from.")
@click.option("--validation", type=DATA_FILE, help="Validate on this file, not on a share of the rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one gives another split and model.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, gpu, gpu:1.")
@click.option("--encoder", help="Folder of a Hugging Face encoder to fine-tune.  [default: a small model from nothing]")
@click.option("--batch-size", type=int, help="Rows of one pass.  [default: what is good for the model]")
@click.option("--accumulate", type=int, default=1, show_default=True, help="Passes that make one step.")
@click.option("--learning-rate", type=float, help="Of the optimiser.  [default: what is good for the model]")
@click.option("--patience", type=int, help="Stop after so many epochs that were no better than the best.")
@click.option(
    "--refit/--no-refit",
    default=None,
    help="Train the model that is kept on the validating rows, too.  [default: tc from nothing, without --validation]",
)
@click.option("--class-weights", type=click.Choice(["none", "balanced"]), default="none", show_default=True)
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True
)
@click.option("--result", type=click.Path(dir_okay=False, path_type=Path), help="Write steps with elapsed_time here.")
@click.option("--progress/--no-progress", default=None, help="Show progress.  [default: on a terminal]")
@crew_options
@data_options
def train(task: str, data: Path, model_name: str, **settings: Any) -> None:
    """Train a model that classifies texts (tc) or finds named entities (ner) on the rows of DATA.

    What is in the data is told first: rows, labels, lengths, leaks, and problems by line. The result file holds a JSON
    object for each step that is told, with elapsed_time in seconds, and one for the model at the end.
    """
    from dure.dataset.problems import MAX_TOLD
    from dure.dataset.report import report
    from dure.dataset.rows import check_trainable
    from dure.dataset.split import split
    from dure.learning.recipe import Recipe
    from dure.store.naming import checked_name

    checked_name(model_name)
    if settings["validation"] and settings["refit"] is None:  # whoever has such a file may well test on it, too
        settings["refit"] = False
    order = crew_of(settings)
    recipe = Recipe(task=cast("Any", task), **{name: settings[name] for name in _RECIPE})
    check_place(order, recipe)
    dataset = read(data, recipe.task, settings)
    check_trainable(dataset.examples)
    parts: tuple[Examples, Examples]
    if settings["validation"]:
        validation = read(settings["validation"], recipe.task, settings)
        for problem in validation.problems[:MAX_TOLD]:
            click.echo(f"{settings['validation']}: {problem}", err=True)
        parts = (dataset.examples, validation.examples)
    else:
        parts = split(dataset.examples, recipe.train_rate, recipe.seed)
    click.echo(f"{data}: {dataset.digest}")
    click.echo(report(parts[0], parts[1], dataset.problems).text())
    with _result(settings["result"]) as file, bar(f"Training {model_name}", shown=settings["progress"]) as advance:
        course = Course(file, advance)
        if order is not None:
            version = train_in_crew(model_name, recipe, (dataset, parts), order, course.tell)
        elif settings["validation"]:
            version = _train_here(model_name, recipe, (dataset, parts), course)
        else:
            version = _train_as_job(model_name, recipe, dataset, course)
        scores, elapsed_time_s = version.card["scores"], version.card["seconds"]
        course.write({"model": str(version), **scores, "elapsed_time": elapsed_time_s})
    told = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    click.echo(f"{version}: {told} on the validation part, {elapsed_time_s:,.1f} s")


@contextlib.contextmanager
def _result(path: Path | None) -> "Iterator[IO[str] | None]":
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror) from error
    with file:
        yield file


class Course:
    """Where a training stands: told to the bar, and to the result file line by line."""

    def __init__(self, file: IO[str] | None, advance: "Advance") -> None:
        self._file = file
        self._advance = advance
        self._note = ""

    def write(self, values: dict[str, Any]) -> None:
        """Write a line at once: whoever watches the file sees it grow."""
        if self._file:
            self._file.write(f"{json.dumps(values, ensure_ascii=False)}\n")
            self._file.flush()

    def tell(self, at: "Progress | Event") -> None:
        """Tell how far it is; a note is told once, above the bar."""
        if at.note and at.note != self._note:
            click.echo(at.note, err=True)
        self._note = at.note
        if at.num_steps and at.loss is not None:
            score = "" if at.score is None else f" score {at.score:.4f}"
            self._advance(at.step, at.num_steps, f"loss {at.loss:.4f}{score}")
            told = {name: getattr(at, name) for name in ("step", "num_steps", "share", "epoch", "loss", "score")}
            self.write({**told, "elapsed_time": at.elapsed_time_s})


def _train_as_job(name: str, recipe: "Recipe", dataset: "Dataset", course: Course) -> "Version":
    """Have a worker train the model, and watch it; Ctrl-C cancels the job."""
    from dure.bib.job import State
    from dure.bib.trainings import Trainings
    from dure.errors import TrainingFailed
    from dure.store.store import ModelStore

    with Trainings(recipe.device) as trainings:
        job = trainings.submit(name, recipe, dataset.examples)
        try:
            for event in trainings.watch(job.id):
                if event.state is State.FAILED:
                    raise TrainingFailed(event.note)
                if event.state is State.CANCELLED:
                    raise click.ClickException(f"job {job.id} was cancelled")
                course.tell(event)
        except KeyboardInterrupt:
            trainings.queue.cancel(job.id)
            click.echo(f"\nJob {job.id} is cancelled; the versions of {name} are as they were.", err=True)
            raise
    return ModelStore().resolve(f"{name}@{event.version}")


def _train_here(
    name: str, recipe: "Recipe", data: "tuple[Dataset, tuple[Examples, Examples]]", course: Course
) -> "Version":
    """Train in this process, on two files."""
    from dure.bib.outcome import publish
    from dure.learning.training import train as run
    from dure.store.store import ModelStore

    dataset, parts = data
    return publish(ModelStore(), name, run(recipe, parts, report=course.tell), parts, dataset.digest)
