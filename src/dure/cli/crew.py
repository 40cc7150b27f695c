"""What `dure train` says of a crew: the options, and a training by several workers, led by the command itself."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dure.bib.crew_order import CrewOrder
    from dure.bib.job import Event
    from dure.dataset.dataset import Dataset
    from dure.learning.kinds import Examples
    from dure.learning.recipe import Recipe
    from dure.store.version import Version

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--workers", type=int, help="Train an encoder with so many processes.  [default: one, as a job]"),
    click.option("--shares", type=int, help="Parts of each step that are added up in order.  [default: --workers]"),
    click.option("--backend", type=click.Choice(["local", "ray"]), help="Where workers run.  [default: local]"),
    click.option("--address", help="Of the Ray cluster: auto, host:6379.  [default: one of this machine is started]"),
    click.option(
        "--checkpoints",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder that all workers see; a training that was stopped goes on from it.  [default: in DURE_HOME]",
    ),
    click.option("--threads", type=int, help="Of each worker.  [default: cores divided by shares; on Ray 1]"),
)
_OF_CREWS = ("backend", "address", "checkpoints", "threads")


def crew_options(command: F) -> F:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def crew_of(settings: dict[str, Any]) -> "CrewOrder | None":
    """Return who trains, if it is a crew; say in the settings how many shares there are.

    Raises:
        UsageError: There is no crew, but a setting of one.
    """
    from dure.bib.crew_order import CrewOrder

    given = {name: settings[name] for name in _OF_CREWS if settings[name] is not None}
    if settings["shares"] is None:
        settings["shares"] = max(1, settings["workers"] or 1) if settings["encoder"] else 1
    if settings["workers"] is not None:
        return CrewOrder(workers=settings["workers"], **given)
    if given:
        raise click.UsageError(f"--{next(iter(given))} means nothing without --workers.")
    return None


def check_place(order: "CrewOrder | None", recipe: "Recipe") -> None:
    """Refuse a device that is not there, and a crew that makes no sense.

    Raises:
        DureError: See `dure.bib.crew_order.check_order` and `dure.device.probe.require_device`.
    """
    from dure.bib.crew_order import check_order
    from dure.device.context import parse_context
    from dure.device.probe import require_device

    if order is not None:
        check_order(order, recipe)
    if order is None or order.backend == "local":
        require_device(parse_context(recipe.device))


def train_in_crew(
    name: str,
    recipe: "Recipe",
    data: "tuple[Dataset, tuple[Examples, Examples]]",
    order: "CrewOrder",
    tell: "Callable[[Event], None]",
) -> "Version":
    """Have a crew train the model, and publish it; Ctrl-C stops it, and leaves its checkpoint."""
    from dure.bib.crew_training import CrewTraining
    from dure.bib.outcome import publish
    from dure.store.store import ModelStore

    dataset, parts = data
    training = CrewTraining(recipe, parts, order)
    try:
        trained = training.run(tell)
    except KeyboardInterrupt:
        click.echo(
            f"\nStopped; the versions of {name} are as they were. The same command goes on from {training.folder}",
            err=True,
        )
        raise
    version = publish(ModelStore(), name, trained, parts, dataset.digest, workers=order.workers)
    training.remove()
    return version
