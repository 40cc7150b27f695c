"""The task that every Executor here does: which digit is on an image of 8x8 pixels. Knows no framework.

The images are scikit-learn's copy of the UCI data set "Optical Recognition of Handwritten Digits" (1998): it is
installed with the library, so that nothing is downloaded.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from dure import Document, DocumentArray, Executor, batching, requests
from dure.errors import ValidationError

NUM_DIGITS = 10
IMAGE_SHAPE = (8, 8)
NUM_PIXELS = 64
SEED = 0
NUM_TRAINING = 1297  # of 1,797; the last 500 were written by other people than most of the first


def training() -> tuple[np.ndarray, np.ndarray]:
    """Return images, `(1297, 64) float32` from 0 to 1, and digits, `(1297,) int64`."""
    images, digits = _all()
    return images[:NUM_TRAINING], digits[:NUM_TRAINING]


def unseen() -> tuple[np.ndarray, np.ndarray]:
    """Return images, `(500, 64) float32`, and digits, `(500,) int64`, that no model was trained on."""
    images, digits = _all()
    return images[NUM_TRAINING:], digits[NUM_TRAINING:]


def documents(images: np.ndarray) -> DocumentArray:
    """Return one Document per image, its `tensor` `(8, 8) float32`."""
    return DocumentArray(Document(tensor=image.reshape(IMAGE_SHAPE)) for image in images)


class DigitClassifier(Executor):
    """Sets `tags['digit']`, and `scores`: how likely every digit is. A subclass brings the model."""

    @abstractmethod
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return how likely every digit is, `(rows, 10) float32`, for images `(rows, 64) float32`."""

    @requests(on="/classify")
    @batching(max_batch_size=256)
    def classify(self, docs: DocumentArray, **_: Any) -> None:
        if not len(docs):
            return
        found = self.probabilities(_pixels(docs))
        for doc, row in zip(docs, found.tolist(), strict=True):
            doc.tags["digit"] = row.index(max(row))
            doc.scores = {str(digit): likely for digit, likely in enumerate(row)}


def training_batches(num_epochs: int, batch_size: int = 64) -> Any:
    """Yield images and digits in batches of one size, shuffled anew for every epoch."""
    images, digits = training()
    draw = np.random.default_rng(SEED)
    for _ in range(num_epochs):
        order = draw.permutation(len(images))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield images[rows], digits[rows]


def _all() -> tuple[np.ndarray, np.ndarray]:
    pixels, digits = load_digits(return_X_y=True)
    return (pixels / 16).astype(np.float32), digits.astype(np.int64)


def _pixels(docs: DocumentArray) -> np.ndarray:
    for row, doc in enumerate(docs):
        if np.shape(doc.tensor) != IMAGE_SHAPE:
            raise ValidationError(f"docs[{row}].tensor: an image of 8x8 pixels, not of shape {np.shape(doc.tensor)}")
    return np.stack([np.asarray(doc.tensor, np.float32) for doc in docs]).reshape(len(docs), NUM_PIXELS)
