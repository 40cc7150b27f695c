"""A model that says what it was told to: for tests of what is done with predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.learning.prediction import Classification, Entity


class ToldClassifier:
    kind: ClassVar[str] = "told-classifier"
    task: ClassVar[Task] = "tc"

    def __init__(self, said: dict[str, tuple[str, float]], labels: Sequence[str] = ()) -> None:
        self._said = said
        self.labels = tuple(sorted({*labels, *(label for label, _ in said.values())}))

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        return [Classification(*self._said[text], probabilities={}) for text in texts]

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        raise NotImplementedError


class ToldTagger:
    kind: ClassVar[str] = "told-tagger"
    task: ClassVar[Task] = "ner"

    def __init__(self, said: dict[str, list[Entity]]) -> None:
        self._said = said
        self.labels = tuple(sorted({entity.type for found in said.values() for entity in found}))

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[list[Entity]]:
        return [self._said[text] for text in texts]

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        raise NotImplementedError
