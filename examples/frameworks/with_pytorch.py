"""PyTorch: a small convolutional network."""

from typing import Any

import numpy as np
import torch
from torch import nn

from digits import NUM_DIGITS, SEED, DigitClassifier, training_batches

NUM_EPOCHS = 15


class TorchDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        torch.manual_seed(SEED)
        torch.set_num_threads(1)  # there is so little to compute that a second thread costs more than it brings
        self.network = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (rows, 32, 4, 4)
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (rows, 64, 2, 2)
            *(nn.Flatten(), nn.Linear(256, NUM_DIGITS)),
        )
        optimizer = torch.optim.Adam(self.network.parameters(), lr=3e-3)
        for images, digits in training_batches(NUM_EPOCHS):
            loss = nn.functional.cross_entropy(self.network(torch.from_numpy(images)), torch.from_numpy(digits))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.network(torch.from_numpy(images)).softmax(1).numpy()
        return found
