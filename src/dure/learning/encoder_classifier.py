"""A classifier on top of a Hugging Face encoder: the mean of its hidden states, and one layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from dure.dataset.dataset import Task
from dure.device.context import Context
from dure.device.library import torch_device
from dure.errors import ModelError
from dure.learning.encoder import Encoder
from dure.learning.model_file import read_model, read_weights, write_model
from dure.learning.prediction import Classification

_DROPOUT = 0.1


class ClassifierNetwork(torch.nn.Module):
    """Token numbers to one number for each class.

    Args:
        transformer: The encoder's network.
        hidden_size: Numbers of its hidden states.
        num_labels: Classes.
    """

    def __init__(self, transformer: torch.nn.Module, hidden_size: int, num_labels: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.dropout = torch.nn.Dropout(_DROPOUT)
        self.head = torch.nn.Linear(hidden_size, num_labels)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return `(rows, labels) float32`, for token numbers and their mask, `(rows, tokens)` each."""
        hidden = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)  # (rows, hidden)
        logits: torch.Tensor = self.head(self.dropout(mean))
        return logits


class EncoderClassifier:
    """See `dure.learning.model.Model`. Of a text, as many tokens count as the encoder takes, 256 at most.

    Args:
        encoder: The encoder.
        network: It, with the layer on top, on its device.
        labels: The classes, sorted.
        temperature: What the numbers are divided by to be calibrated.
    """

    kind: ClassVar[str] = "encoder-classifier"
    task: ClassVar[Task] = "tc"

    def __init__(
        self, encoder: Encoder, network: ClassifierNetwork, labels: tuple[str, ...], temperature: float = 1.0
    ) -> None:
        self.labels = labels
        self._encoder = encoder
        self._network = network.eval()
        self._temperature = temperature

    def predict(self, texts: Sequence[str], batch_size: int | None = None) -> list[Classification]:
        """Return the class of every text."""
        shares = torch.softmax(self.logits(texts, batch_size) / self._temperature, 1)
        best = shares.argmax(1).tolist()
        return [
            Classification(self.labels[at], row[at], dict(zip(self.labels, row, strict=True)))
            for at, row in zip(best, shares.tolist(), strict=True)
        ]

    def logits(self, texts: Sequence[str], batch_size: int | None = None) -> torch.Tensor:
        """Return what the network says before calibration, `(texts, labels) float32` on the host."""
        tokens = [found.ids for found in self._encoder.tokens(texts)]
        device = self._network.head.weight.device
        logits = torch.empty(len(texts), len(self.labels))
        with torch.inference_mode():
            for rows in self._encoder.groups(tokens, batch_size, device):
                batch = self._encoder.padded([tokens[row] for row in rows], device)
                logits[torch.from_numpy(np.asarray(rows))] = self._network(*batch).cpu()
        return logits

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        description = {
            "labels": self.labels,
            "temperature": self._temperature,
            "encoder": self._encoder.config,
        }
        write_model(folder, self.kind, description, self._network.state_dict())
        self._encoder.save(folder)

    @classmethod
    def load(cls, folder: Path, context: Context) -> Self:
        """Read what `save` wrote."""
        description, weights = read_model(folder), read_weights(folder)
        try:
            labels = tuple(description["labels"])
            encoder = Encoder.from_folder(folder, description["encoder"])
            network = ClassifierNetwork(encoder.network, encoder.hidden_size, len(labels))
            network.load_state_dict(weights)
            return cls(encoder, network.to(torch_device(context)), labels, float(description["temperature"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder}: the parts of the model do not fit each other: {error}") from error
