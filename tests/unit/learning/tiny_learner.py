"""The smallest real learner, for tests of what drives learners: logistic regression over words, with Adam and noise."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file

from dure.dataset.dataset import Task
from dure.dataset.example import LabelledText
from dure.device.context import Context
from dure.learning.model import MODEL_FILE, WEIGHTS_FILE
from dure.learning.prediction import Classification
from dure.learning.recipe import Recipe

WIDTH = 256


def words_of(texts: Sequence[str]) -> torch.Tensor:
    rows = torch.zeros(len(texts), WIDTH)
    for row, text in enumerate(texts):
        for word in text.split():
            rows[row, zlib.crc32(word.encode()) % WIDTH] += 1.0
    return rows


class TinyModel:
    kind = "tiny"
    task: Task = "tc"

    def __init__(self, labels: tuple[str, ...], weight: torch.Tensor, factor: float = 1.0) -> None:
        self.labels = labels
        self.factor = factor
        self.weight = weight

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        shares = torch.softmax(words_of(texts) @ self.weight * self.factor, 1)
        said = []
        for row in shares.tolist():
            best = max(range(len(row)), key=row.__getitem__)
            said.append(Classification(self.labels[best], row[best], dict(zip(self.labels, row, strict=True))))
        return said

    def save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_text(json.dumps({"kind": self.kind, "labels": self.labels, "factor": self.factor}))
        save_file({"weight": self.weight}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        said = json.loads((folder / MODEL_FILE).read_text())
        return cls(tuple(said["labels"]), load_file(folder / WEIGHTS_FILE)["weight"], said["factor"])


class TinyLearner:
    def __init__(self, recipe: Recipe, train: Sequence[Any], validation: Sequence[Any]) -> None:
        self.recipe = recipe
        self.labels = tuple(sorted({example.label for example in train}))
        self.rows, self.gold = self._numbers(train)
        self.held, self.held_gold = self._numbers(validation)
        self.batch_size = recipe.batch_size or 8
        self.steps_per_epoch = -(-len(train) // self.batch_size)
        self.num_steps = self.steps_per_epoch * (recipe.epochs or 5)
        self.weight = torch.zeros(WIDTH, len(self.labels), requires_grad=True)
        self.optimiser = torch.optim.Adam([self.weight], lr=recipe.learning_rate or 0.05)

    def _numbers(self, examples: Sequence[LabelledText]) -> tuple[torch.Tensor, torch.Tensor]:
        gold = [self.labels.index(example.label) for example in examples]
        return words_of([example.text for example in examples]), torch.tensor(gold)

    def step(self, number: int) -> float:
        chance = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + number)
        chosen = torch.randint(len(self.rows), (self.batch_size,), generator=chance)
        rows = self.rows[chosen] + 0.1 * torch.randn(self.batch_size, WIDTH, generator=chance)
        loss = torch.nn.functional.cross_entropy(rows @ self.weight, self.gold[chosen])
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def validate(self) -> float:
        with torch.no_grad():
            return float(((self.held @ self.weight).argmax(1) == self.held_gold).float().mean())

    def state(self) -> dict[str, torch.Tensor]:
        memory = self.optimiser.state_dict()["state"].get(0, {})
        return {"weight": self.weight.detach(), **{f"adam.{name}": torch.as_tensor(v) for name, v in memory.items()}}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        memory = {name.removeprefix("adam."): value for name, value in state.items() if name.startswith("adam.")}
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**whole, "state": {0: memory} if memory else {}})
        self.set_weights(state)

    def weights(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight.detach()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            self.weight.copy_(weights["weight"])

    def calibrate(self) -> dict[str, float]:
        with torch.no_grad():
            return {"factor": 1 / float((self.held @ self.weight).abs().mean())}

    def finish(self, calibration: dict[str, float] | None = None) -> TinyModel:
        return TinyModel(self.labels, self.weight.detach().clone(), **(calibration or self.calibrate()))


def examples(count: int = 60) -> list[LabelledText]:
    """Texts about food and about rain, told apart by one word in five; every third is noise."""
    texts = []
    for number in range(count):
        label = ("food", "rain")[number % 2]
        told = {"food": ("bread", "soup", "rice"), "rain": ("cloud", "storm", "wet")}[label]
        filler = " ".join(f"w{(number * 7 + place) % 23}" for place in range(4))
        texts.append(LabelledText(f"{filler} {told[number % 3]}", label))
    return texts
