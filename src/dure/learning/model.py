"""A model: what a training ends with, and what predictions are made with."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.learning.prediction import Classification, Entity

MODEL_FILE = "model.json"
"""What a model is: its kind, the version of its form, its labels and settings."""

WEIGHTS_FILE = "weights.safetensors"


class Model(Protocol):
    """A trained model on one device. It never changes, so that threads may share it.

    Attributes:
        kind: Which class loads it again.
        task: What it does.
        labels: Its classes, or the types of entities that it knows; sorted.
    """

    kind: ClassVar[str]
    task: ClassVar[Task]
    labels: tuple[str, ...]

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification] | list[list[Entity]]:
        """Return what it says of every text, in order. What stands in a batch beside a text changes nothing.

        Args:
            texts: Of any length; how much of a long one is read is the model's to say.
            batch_size: Texts of one pass; None: what is good for this kind of model.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write model.json, weights.safetensors and what else it needs into an existing folder; no code, no pickles."""
        ...

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: A file is missing, damaged or of another version; names it.
        """
        ...
