"""Which dure goes into an image: the release that runs here, or a wheel of the checkout that it runs from.

Makes the wheel with pip, in a folder that is not the checkout.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from dure.errors import HubError

_SOURCES = ("pyproject.toml", "README.md", "LICENSE")
_TIMEOUT_S = 300


def checkout() -> Path | None:
    """Return the source tree that this dure runs from; None where it is an installed release."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "dure").is_dir() else None


def requirement() -> str:
    """Return what pip is to be asked for where this is a release: `dure[serve]==0.1.0`."""
    return f"dure[serve]=={importlib.metadata.version('dure')}"


def make_wheel(root: Path, folder: Path) -> Path:
    """Make a wheel of a source tree; return where it lies in `folder`.

    Raises:
        HubError: pip cannot make it; with its last line.
    """
    source = folder / "source"
    shutil.copytree(root / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in _SOURCES:
        shutil.copy2(root / name, source)
    # Without a network, by what is installed; else pip would fetch setuptools.
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("setuptools") else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        last = next(reversed(done.stderr.strip().splitlines()), "pip said nothing")
        raise HubError(f"{root}: no wheel of this dure could be made: {last}")
    return next(folder.glob("dure-*.whl"))
