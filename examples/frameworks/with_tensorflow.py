"""TensorFlow: a small convolutional network, trained and served as a `tf.function`."""

import os
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it greets with a page of advice

import tensorflow as tf

from digits import NUM_DIGITS, SEED, DigitClassifier, training_batches

NUM_EPOCHS, STEP = 30, 0.2


class TensorflowDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        tf.random.set_seed(SEED)
        shapes = {"filters": (3, 3, 1, 32), "filters_bias": (32,), "out": (512, NUM_DIGITS), "out_bias": (NUM_DIGITS,)}
        self.weights = {
            name: tf.Variable(
                tf.random.normal(shape, stddev=(2 / np.prod(shape[:-1])) ** 0.5) if len(shape) > 1 else tf.zeros(shape)
            )
            for name, shape in shapes.items()
        }
        for images, digits in training_batches(NUM_EPOCHS):
            self.train(tf.constant(images), tf.constant(digits))
        self.compiled = tf.function(
            lambda images: tf.nn.softmax(self.logits(images)), input_signature=[tf.TensorSpec((None, 64), tf.float32)]
        )

    def logits(self, images: Any) -> Any:
        pixels = tf.reshape(images, (-1, 8, 8, 1))
        seen = tf.nn.relu(tf.nn.conv2d(pixels, self.weights["filters"], 1, "SAME") + self.weights["filters_bias"])
        pooled = tf.nn.max_pool2d(seen, 2, 2, "VALID")  # (rows, 4, 4, 32)
        return tf.reshape(pooled, (-1, 512)) @ self.weights["out"] + self.weights["out_bias"]

    @tf.function  # type: ignore[untyped-decorator]
    def train(self, images: Any, digits: Any) -> None:
        with tf.GradientTape() as tape:
            found = tf.nn.sparse_softmax_cross_entropy_with_logits(digits, self.logits(images))
            loss = tf.reduce_mean(found)
        weights = list(self.weights.values())
        for weight, slope in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(STEP * slope)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.compiled(tf.constant(images)).numpy()
        return found
