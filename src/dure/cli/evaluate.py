"""`dure evaluate MODEL DATA`: scores of a model on texts whose labels or entities are known, and pictures of them.

Knows what is shown; how scores are computed, `dure.learning` knows.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dure.cli.bar import bar
from dure.cli.dataset import DATA_FILE, data_options, read

if TYPE_CHECKING:
    from dure.learning.evaluation import Evaluation
    from dure.learning.progress import Progress
    from dure.learning.scores import Score

_MAX_LABELS = 40


@click.command()
@click.argument("model")
@click.argument("data", type=DATA_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: accuracy and macro_f1, or entity_f1, …")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write PNGs and evaluation.html into this folder; needs the extra `pictures`.",
)
@click.option("--device", default="cpu", show_default=True, help="Where to predict: cpu, gpu, gpu:1.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Texts of one pass.  [default: what is good for MODEL]")
@click.option("--progress/--no-progress", default=None, help="Show progress.  [default: on a terminal]")
@data_options
def evaluate(model: str, data: Path, **settings: Any) -> None:
    """Hold MODEL (a name, name@3 or name@alias) against the rows of DATA, none of which it was trained on."""
    from dure.cli.predict import load
    from dure.dataset.problems import MAX_TOLD
    from dure.learning.evaluation import evaluate as measure

    version, loaded = load(model, settings["device"])
    dataset = read(data, loaded.task, settings)
    for problem in dataset.problems[:MAX_TOLD]:
        click.echo(str(problem), err=True)
    total = len(dataset.examples)
    with bar(f"Evaluating {version}", shown=settings["progress"]) as advance:
        found = measure(
            loaded,
            dataset.examples,
            batch_size=settings["batch_size"],
            report=lambda done: advance(done, total, ""),
        )
    if dataset.digest == version.card.get("data", {}).get("digest"):
        click.echo(f"{version} was trained on these rows: its scores say nothing of other texts", err=True)
    if settings["as_json"]:
        values = {**found.as_dict(), "model": str(version), "data": str(data), "digest": dataset.digest}
        click.echo(json.dumps(values, ensure_ascii=False))
    else:
        click.echo(f"{version} on {data}\n{_text(found)}")
    if settings["pictures"]:
        _draw(found, settings["pictures"], f"{version} on {data.name}", _history(version.folder))


def _text(found: "Evaluation") -> str:
    from dure.learning.scores import ClassificationScores

    scores = found.scores
    each = scores.per_label if isinstance(scores, ClassificationScores) else scores.per_type
    lines = [f"{name:<18}{value:.4f}" for name, value in scores.headline().items()]
    lines.append(f"{'calibration error':<18}{found.reliability.error:.4f}")
    lines.append(
        f"{found.rows:,} texts in {found.elapsed_time_s:.2f} s, {found.rows / found.elapsed_time_s:,.0f} a second"
    )
    if found.unknown:
        lines.append(f"not known to the model: {', '.join(found.unknown[:_MAX_LABELS])}")
    return "\n".join([*lines, *_each(each)])


def _each(scores: "dict[str, Score]") -> list[str]:
    """Return a line for each label, the worst first: numbers before names, which may be of any width."""
    lines = ["", "precision  recall      f1    rows"]
    worst = sorted(scores, key=lambda name: (scores[name].f1, name))
    for name in worst[:_MAX_LABELS]:
        score = scores[name]
        lines.append(f"{score.precision:9.4f}  {score.recall:6.4f}  {score.f1:6.4f}  {score.support:6,}  {name}")
    if len(worst) > _MAX_LABELS:
        lines.append(f"… and {len(worst) - _MAX_LABELS} more that are better")
    return lines


def _history(folder: Path) -> "list[Progress]":
    """Return where the training of a version stood, if it is kept beside it."""
    from dataclasses import fields

    from dure.learning.progress import Progress

    path = folder / "history.json"
    if not path.exists():
        return []
    known = {field.name for field in fields(Progress)}
    points = json.loads(path.read_text(encoding="utf-8"))
    return [Progress(**{name: value for name, value in point.items() if name in known}) for point in points]


def _draw(found: "Evaluation", folder: Path, title: str, history: "list[Progress]") -> None:
    from dure.learning.evaluation_page import write_evaluation

    for path in write_evaluation(found, folder, title, history):
        click.echo(str(path), err=True)
