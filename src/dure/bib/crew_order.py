"""Who trains: how many workers, on this machine or on a Ray cluster, and with what each; what of it makes sense."""

from pathlib import Path
from typing import Literal, Protocol

import msgspec

from dure.bib.crew_folder import CrewFolder
from dure.device.context import parse_context
from dure.errors import SpecError, ValidationError
from dure.learning.recipe import Recipe

MAX_LOSSES = 3
"""How often a crew forms again after a worker was lost."""


class CrewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Who trains.

    Args:
        workers: How many processes, from 1 to the recipe's `shares`.
        backend: `local`, processes of this machine; `ray`, of a cluster.
        address: Of the Ray cluster: `auto`, `host:6379`; None: one of this machine is started.
        checkpoints: A folder that all workers see; None: one below the home folder, for this machine alone.
        threads: Of each worker; None: the cores of this machine divided by the shares, or 1 on Ray.
    """

    workers: int
    backend: Literal["local", "ray"] = "local"
    address: str | None = None
    checkpoints: Path | None = None
    threads: int | None = None


class CrewAtWork(Protocol):
    """A crew that was started, whose workers are begun again when one is lost."""

    def has_ended(self) -> bool:
        """Return whether no worker is there any more, and none is begun."""
        ...

    def last_words(self) -> str:
        """Return how it ended: what the worker that was lost first wrote last."""
        ...

    def end(self) -> None:
        """Leave nothing running; asked once, at the end."""
        ...


class StartCrew(Protocol):
    """Starts a crew of either backend."""

    def __call__(self, folder: CrewFolder, order: CrewOrder, recipe: Recipe, threads: int) -> CrewAtWork:
        """Start it; the folder holds what is to be trained."""
        ...


def check_order(order: CrewOrder, recipe: Recipe) -> None:
    """Refuse what makes no sense before anything is started.

    Raises:
        ValidationError: A number of workers or threads, or a model that no crew trains.
        SpecError: An address that means nothing here, or a folder that is missing.
    """
    for name, value in (("workers", order.workers), ("threads", order.threads)):
        if value is not None and value < 1:
            raise ValidationError(f"{name}={value} is not a whole number from 1")
    if recipe.encoder is None:
        raise ValidationError(
            "workers: a model trained from nothing is small, and one process trains it; leave workers out, or name an"
            " encoder to fine-tune"
        )
    if order.workers > recipe.shares:
        raise ValidationError(
            f"workers={order.workers} with shares={recipe.shares}: each needs a share of its own; shares of"
            f" {order.workers} or more"
        )
    on_any = recipe.device.strip().lower() in ("gpu", "cuda")
    if order.workers > 1 and parse_context(recipe.device).kind == "gpu" and not on_any:
        raise ValidationError(f"device={recipe.device!r} with workers={order.workers}: each needs its own; say gpu")
    if order.backend == "local" and order.address is not None:
        raise SpecError("address: means nothing with backend='local'; say backend='ray', or leave it out")
    if order.backend == "ray" and order.checkpoints is None:
        raise SpecError("checkpoints: a crew on Ray needs a folder that all of its nodes see; name one")
