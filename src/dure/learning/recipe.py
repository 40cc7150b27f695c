"""A recipe: everything besides the data that decides what comes out of a training.

Knows which values make sense; does not know what a model does with them.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from dure.dataset.dataset import Task
from dure.device.context import parse_context
from dure.errors import ValidationError
from dure.spec import suggest

ClassWeights = Literal["none", "balanced"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Args:
        task: `tc`, text classification, or `ner`, named entities.
        epochs: How often every example is seen; None: as often as is good for this kind of model.
        train_rate: Share of the data that is learnt from, above 0 and below 1; the rest validates.
        seed: Of the split and of everything random in the training. The same seed, data, library and number of threads
            give the same model.
        device: Where it is trained: `cpu`, `gpu:1`.
        encoder: Folder or name of a Hugging Face encoder to fine-tune; None: a small model trained from nothing.
        batch_size: Examples of one pass through the model; None: what is good for this kind of model.
        accumulate: Passes whose gradients are added up before a step.
        learning_rate: Of the optimiser; None: what is good for this kind of model.
        patience: Stop after so many epochs that were no better than the best, and keep the best; None: train all, and
            keep the last.
        refit: Whether the model that is kept learns from the validation part, too: it is trained anew on all data, for
            as many epochs as validation found best. Scores and calibration stay those of the model before it, which had
            not seen that part. It takes as long again. None: where a classifier is trained from nothing.
        class_weights: `balanced`: rare classes count as much as common ones.
        precision: Of the arithmetic in matrix products on a GPU, for encoders; weights and sums stay float32.
        shares: Into how many parts the rows of each step are divided, for encoders. Their gradients are added up in the
            order of the parts, so that any number of workers up to this one comes to the same model.

    Raises:
        ValidationError: A value makes no sense; says which and why.
        DeviceNotFound: `device` names no device.
    """

    task: Task
    epochs: int | None = None
    train_rate: float = 0.9
    seed: int = 0
    device: str = "cpu"
    encoder: str | None = None
    batch_size: int | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    patience: int | None = None
    refit: bool | None = None
    class_weights: ClassWeights = "none"
    precision: Precision = "float32"
    shares: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("task", Task), ("class_weights", ClassWeights), ("precision", Precision)):
            _check_choice(name, getattr(self, name), get_args(allowed))
        for name in ("epochs", "batch_size", "accumulate", "patience", "shares"):
            _check_count(name, getattr(self, name), required=name in ("accumulate", "shares"))
        if self.refit is not None and not isinstance(self.refit, bool):
            raise ValidationError(f"refit={self.refit!r} is neither true nor false")
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**31:
            raise ValidationError(f"seed={self.seed!r} is not a whole number from 0 to {2**31 - 1}")
        if not _is_number(self.train_rate) or not 0 < self.train_rate < 1:  # NaN is not between either
            raise ValidationError(
                f"train_rate={self.train_rate!r} is not between 0 and 1: it is the share of the data that is learnt"
                " from, and both parts need some; 0.8 learns from 80 %"
            )
        rate = self.learning_rate
        if rate is not None and not (_is_number(rate) and math.isfinite(rate) and rate > 0):
            raise ValidationError(f"learning_rate={rate!r} is not a number above 0")
        parse_context(self.device)
        if self.task == "ner" and self.class_weights != "none":
            raise ValidationError(f"class_weights={self.class_weights!r} is for classes: a tagger has none")
        for name in ("precision", "shares") if self.encoder is None else ():
            if getattr(self, name) != getattr(Recipe, name):
                raise ValidationError(
                    f"{name}={getattr(self, name)!r} is for encoders: a model trained from nothing is small"
                )

    @property
    def refits(self) -> bool:
        """Return whether the model that is kept learns from the validation part, too."""
        return self.task == "tc" and self.encoder is None if self.refit is None else self.refit

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name, as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the recipe with these values.

        Raises:
            ValidationError: There is no such value, or it makes no sense.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ValidationError(f"a recipe has no {name!r}.{suggest(name, known)}")
        if "task" not in values:
            raise ValidationError("a recipe needs its task: tc or ner")
        return cls(**values)


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValidationError(f"{name}={value!r} is none of {', '.join(allowed)}")


def _check_count(name: str, value: object, *, required: bool) -> None:
    if value is None and not required:
        return
    if not _is_whole(value) or value < 1:  # type: ignore[operator]
        raise ValidationError(f"{name}={value!r} is not a whole number from 1")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
