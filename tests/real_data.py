"""Real data sets, where this machine has them: in the folder that TEST_DATA names, or ../shared/data."""

import os
from pathlib import Path

import pytest

_NAMED = os.environ.get("TEST_DATA")
_FOLDER = Path(_NAMED) if _NAMED else Path(__file__).parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """Return the path of a file of public data, or skip the test."""
    path = _FOLDER / name
    if not path.is_file():
        pytest.skip(f"{path} is not here: TEST_DATA names the folder that holds it")
    return path
