"""What every no-op answers: the same vector, here and in the servers of peers."""

import numpy as np

DIM = 384
VECTOR = np.random.default_rng(0).random(DIM, dtype=np.float32)
