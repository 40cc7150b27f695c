"""numpy's poolings give the numbers of PyTorch's."""

import numpy as np
import pytest

from dure.nlp.computation import _NUMPY_POOLINGS, _TORCH_POOLINGS
from dure.nlp.sentence_config import POOLINGS


@pytest.mark.parametrize("name", POOLINGS)
def test_poolings_are_the_same(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(3, 5, 8)).astype(np.float32)
    mask = (np.arange(5) < np.array([[5], [1], [3]])).astype(np.int64)
    found = _NUMPY_POOLINGS[name](hidden, mask)
    expected = _TORCH_POOLINGS[name](torch.from_numpy(hidden), torch.from_numpy(mask).unsqueeze(-1)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_pooling_is_there_twice() -> None:
    assert set(_NUMPY_POOLINGS) == set(_TORCH_POOLINGS) == set(POOLINGS)
