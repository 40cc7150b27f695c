"""A Python environment of its own for a bundle, so that two Executors may need different versions of a library.

Made once for each set of requirements, by venv and pip, with the user's own settings of pip; holds the dure that runs
here. Does not know where bundles come from.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from dure.errors import HubError
from dure.hub.release import checkout
from dure.hub.store import cache_folder
from dure.log import LIFECYCLE, get_logger
from dure.offline import is_offline

_REQUIREMENTS = "requirements.txt"
_READY = "ready"
_LAST_LINES = 8


def make_environment(bundle: Path, name: str) -> Path:
    """Return the Python of a bundle's environment; make it first if there is none for these requirements.

    Environments are kept in the cache, beside the bundles.

    Args:
        bundle: The bundle's folder; its `requirements.txt`, if it has one, is installed.
        name: Whose it is, for messages.

    Raises:
        HubError: pip cannot install what is required; with its last lines.
    """
    ours = _ours()
    requirements = bundle / _REQUIREMENTS
    wanted = requirements.read_bytes() if requirements.is_file() else b""
    parts = [sys.version.encode(), sys.base_prefix.encode(), " ".join(ours).encode(), wanted]
    root = cache_folder() / "environments"
    folder = root / hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]
    python = folder / "bin" / "python"
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{folder.name}.lock"):
        if (folder / _READY).exists():
            return python
        begin = time.monotonic()
        get_logger("hub").log(LIFECYCLE, "making the environment of %s: %s", name, folder)
        shutil.rmtree(folder, ignore_errors=True)  # of one that was stopped halfway
        try:
            venv.EnvBuilder(with_pip=True, symlinks=True).create(folder)
            _install(python, [*ours, *(["-r", _REQUIREMENTS] if wanted else [])], bundle, name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / _READY).touch()
        get_logger("hub").log(LIFECYCLE, "made the environment of %s in %.0f s", name, time.monotonic() - begin)
        return python


def _ours() -> list[str]:
    """Return what pip is to install so that the same dure runs there: a checkout as it is, else the same release."""
    root = checkout()
    if root is not None:
        return ["-e", str(root)]
    told = importlib.metadata.distribution("dure").read_text("direct_url.json")
    url = json.loads(told)["url"] if told else ""
    return [f"dure @ {url}"] if url else [f"dure=={importlib.metadata.version('dure')}"]


def _install(python: Path, wanted: list[str], bundle: Path, name: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    if is_offline():
        command.append("--no-index")
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=bundle, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-_LAST_LINES:])
        offline = " (DURE_OFFLINE: no index is asked)" if is_offline() else ""
        raise HubError(f"{name}: what it requires could not be installed{offline}; pip said:\n{last}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes out, until this one is done or has ended."""
    with path.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
