"""JAX: a network of one hidden layer, its gradient by `jax.grad`, compiled by `jax.jit`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from digits import NUM_DIGITS, NUM_PIXELS, SEED, DigitClassifier, training_batches

NUM_EPOCHS, NUM_HIDDEN, STEP = 40, 128, 0.3
Weights = dict[str, jax.Array]


def logits(weights: Weights, images: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(images @ weights["in"] + weights["in_bias"])  # (rows, hidden)
    return hidden @ weights["out"] + weights["out_bias"]  # (rows, 10)


def loss(weights: Weights, images: jax.Array, digits: jax.Array) -> jax.Array:
    likely = jax.nn.log_softmax(logits(weights, images))
    return -likely[jnp.arange(len(digits)), digits].mean()


@jax.jit
def trained_on(weights: Weights, images: jax.Array, digits: jax.Array) -> Weights:
    slopes = jax.grad(loss)(weights, images, digits)
    return {name: value - STEP * slopes[name] for name, value in weights.items()}


class JaxDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        first, second = jax.random.split(jax.random.key(SEED))
        self.weights = {
            "in": jax.random.normal(first, (NUM_PIXELS, NUM_HIDDEN)) * (2 / NUM_PIXELS) ** 0.5,
            "in_bias": jnp.zeros(NUM_HIDDEN),
            "out": jax.random.normal(second, (NUM_HIDDEN, NUM_DIGITS)) * (1 / NUM_HIDDEN) ** 0.5,
            "out_bias": jnp.zeros(NUM_DIGITS),
        }
        for images, digits in training_batches(NUM_EPOCHS):
            self.weights = trained_on(self.weights, jnp.asarray(images), jnp.asarray(digits))
        self.compiled = jax.jit(lambda weights, images: jax.nn.softmax(logits(weights, images)))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        # JAX compiles anew for every shape, and batches come in every size: powers of two are few.
        rows = 1 << (len(images) - 1).bit_length()
        padded = np.pad(images, ((0, rows - len(images)), (0, 0)))
        return np.asarray(self.compiled(self.weights, padded))[: len(images)]
