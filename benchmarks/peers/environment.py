"""The environment of the peers: what is installed there, and why something is not.

PyTorch, the library with the model and numpy are those of the environment that runs the benchmark, not second copies.
"""

import importlib.metadata
import json
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import machine
from peers.server import Server

VENV = machine.ROOT / ".venv-peers"
_WEB = ("uvicorn", "uvloop", "httptools", "orjson")
PACKAGES = {
    "uvicorn": _WEB,
    "fastapi": ("fastapi", *_WEB),
    "mosec": ("mosec", "msgpack", "orjson"),
    "litserve": ("litserve", *_WEB),
    "bentoml": ("bentoml", "orjson"),
}
INFINITY = "infinity-emb 0.0.78 needs transformers 4 and numpy 1, so it cannot use the same library as the others"
_SHARED = ("numpy", "torch", "transformers", "sentence-transformers", "tokenizers")
_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Environment:
    """`missing` says for each peer that is not there, why."""

    python: str
    versions: Mapping[str, str]
    missing: Mapping[str, str]

    def has(self, name: str) -> bool:
        return name not in self.missing

    def start(self, name: str, **job: Any) -> Server:
        """Start a peer's server; for what `job` may say see `peers.job.Job`."""
        return Server(self.python, name, job)


def make() -> Environment:
    """Make the environment, or what of it is not there yet.

    Raises:
        RuntimeError: Not even an empty one can be made.
    """
    python = _empty()
    there = _installed(python)
    missing = {"infinity": INFINITY}
    for name, packages in PACKAGES.items():
        if not set(packages) <= set(there) and (why := _install(python, packages)):
            missing[name] = why
    return Environment(python, _installed(python), missing)


def _empty() -> str:
    python, library = VENV / "bin" / "python", sysconfig.get_path("purelib")
    site = VENV / sysconfig.get_path("purelib", vars={"base": ""}).lstrip("/")
    link = site / "library.pth"
    if not python.exists() or not link.exists() or link.read_text(encoding="utf-8").strip() != library:
        try:
            venv.create(VENV, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"{VENV.name} cannot be made: {error}") from error
        link.write_text(f"{library}\n", encoding="utf-8")
    return str(python)


def _install(python: str, packages: tuple[str, ...]) -> str:
    """Install some packages; return why it did not work, or nothing."""
    pins = VENV / "library.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in _shared()), encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", str(pins)]
    done = subprocess.run([*pip, *packages], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
    return f"pip could not install it: {said[-1][:200] if said else 'it did not say why'}" if done.returncode else ""


def _shared() -> list[tuple[str, str]]:
    found = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    return [(name, found[name]) for name in _SHARED if name in found]


def _installed(python: str) -> dict[str, str]:
    names = sorted({package for packages in PACKAGES.values() for package in packages})
    done = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
