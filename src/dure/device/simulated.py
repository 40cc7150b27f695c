"""Devices made of host memory that behave as gpu(0), gpu(1), … on a machine without a GPU.

`DURE_SIMULATE_GPUS=2` turns them on, in this process and in those it starts. Knows how many there
are and how much each holds; does not know what an array is. They prove where data lives and what
moves, not how fast anything is.
"""

import os

from dure.errors import SpecError

COUNT_VARIABLE = "DURE_SIMULATE_GPUS"
MEMORY_VARIABLE = "DURE_SIMULATE_GPU_MEMORY"
DEFAULT_MEMORY_BYTES = 16 * 2**30


def num_simulated() -> int | None:
    """Return how many GPUs are simulated, 0 for a machine without any; `None`: the real ones count.

    Raises:
        SpecError: The variable holds something else than a whole number from 0.
    """
    return _whole_number(COUNT_VARIABLE, least=0)


def memory_limit_bytes() -> int:
    """Return how much each simulated GPU holds.

    Raises:
        SpecError: The variable holds something else than a whole number from 1.
    """
    limit = _whole_number(MEMORY_VARIABLE, least=1)
    return DEFAULT_MEMORY_BYTES if limit is None else limit


def _whole_number(variable: str, *, least: int) -> int | None:
    written = os.environ.get(variable, "")
    if not written:
        return None
    if not (written.isascii() and written.isdigit()) or int(written) < least:
        raise SpecError(f"{variable}: a whole number from {least} is needed, not {written!r}.")
    return int(written)
