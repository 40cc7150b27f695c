import numpy as np

from dure.bench.operations import ModelShape, operations, padded


def test_operations_are_those_of_the_products() -> None:
    shape = ModelShape(num_layers=2, hidden_size=3, intermediate_size=5)
    for tokens in (1, 7):
        linear = 4 * (2 * tokens * 3 * 3) + 2 * (2 * tokens * 3 * 5)  # query, key, value, output; there and back
        attention = 2 * (2 * tokens * tokens * 3)  # scores, and their sum of values
        assert operations(np.array([tokens]), shape) == 2 * (linear + attention)
    both = operations(np.array([1, 7]), shape)
    assert both == operations(np.array([1]), shape) + operations(np.array([7]), shape)


def test_padding_makes_texts_as_long_as_the_longest_of_their_batch() -> None:
    assert padded(np.array([1, 5, 2, 2, 3]), 2).tolist() == [5, 5, 2, 2, 3]
