"""Plain numpy: the five most alike images that are known have a vote each."""

from typing import Any

import numpy as np

from digits import NUM_DIGITS, DigitClassifier, training

NUM_NEIGHBOURS = 5


class NumpyDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.images, digits = training()
        self.squares = (self.images**2).sum(1)
        self.votes = np.eye(NUM_DIGITS, dtype=np.float32)[digits]  # (known, 10)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        distances = self.squares - 2 * images @ self.images.T  # (rows, known), squared, up to the row's own length
        nearest = np.argpartition(distances, NUM_NEIGHBOURS, axis=1)[:, :NUM_NEIGHBOURS]
        return np.asarray(self.votes[nearest].mean(1))
