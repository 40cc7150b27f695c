"""A real Docker Engine for tests, and an image of a bundle that holds this checkout."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure.hub.scaffold import Scaffold, write

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = f"dure-test/python:{sys.version_info.major}.{sys.version_info.minor}"
BASE = "dure-test/base"
_wheels: list[Path] = []

EXECUTOR = '''"""Does little, and tells where it is."""

import os
import time

from dure import Executor, requests
from dure.executor.endpoints import batching


class Worker(Executor):
    def __init__(self, prefix="", fail="", **kwargs):
        super().__init__(**kwargs)
        if fail:
            raise ValueError(fail)
        self.prefix = prefix

    @requests(on="/echo")
    def echo(self, docs, parameters, **kwargs):
        for doc in docs:
            doc.text = self.prefix + doc.text
            doc.tags["times"] = parameters.get("times", 1)

    @requests(on="/raise")
    def fail(self, docs, **kwargs):
        raise KeyError("no such word")

    @requests(on="/stream")
    def stream(self, docs, **kwargs):
        for doc in docs:
            yield docs[:1]

    @requests(on="/where")
    def where(self, docs, **kwargs):
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
        docs[0].tags = {name: status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs")}
        docs[0].tags |= {"uid": os.getuid(), "pid": os.getpid(), "env": dict(os.environ)}

    @requests(on="/write")
    def write(self, docs, **kwargs):
        for doc in docs:
            try:
                with open(doc.text, "w") as file:
                    file.write("x")
                doc.tags["error"] = ""
            except OSError as error:
                doc.tags["error"] = error.strerror

    @requests(on="/read")
    def read(self, docs, **kwargs):
        for doc in docs:
            doc.text = open(doc.text).read()

    @requests(on="/work")
    @batching(max_batch_size=1)
    def work(self, docs, **kwargs):
        with open("/data/begun", "a") as file:
            file.write(f"{docs[0].text}\\n")
        time.sleep(0.01)

    @requests(on="/die")
    def die(self, docs, **kwargs):
        print("these were its last words", flush=True)
        os._exit(42)

    @requests(on="/fill")
    def fill(self, docs, **kwargs):
        len(b"x" * 2**30)
'''


def script(*words: str | Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    command = ["bash", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


@contextlib.contextmanager
def engine() -> Iterator[Any]:
    """The engine that answers, or one that is started for as long as this lasts; skips where none can be had."""
    docker = pytest.importorskip("docker", reason="no containers were tested: the Docker SDK is missing (dure[docker])")
    with tempfile.TemporaryDirectory() as folder:
        up = script(HERE / "engine.sh", "up", folder, timeout_s=60)
        if up.returncode:
            pytest.skip(f"NO CONTAINERS WERE TESTED: {up.stdout.strip() or up.stderr.strip()}")
        client = docker.from_env(timeout=300)
        try:
            yield client
        finally:
            client.close()
            script(HERE / "engine.sh", "down", folder, timeout_s=60)


def build_base(docker: Any, folder: Path) -> Path:
    """Make the image in which dure's own requirements are installed, once; return the wheel of this checkout."""
    if _wheels:
        return _wheels[0]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source, made = folder / "source", folder / "dure"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(made), str(source)]
    subprocess.run(command, check=True, timeout=120)
    wheel = next(made.glob("*.whl"))
    wheels = folder / "wheels"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    command = [*pip, "download", "--only-binary", ":all:", "-d", str(wheels), *wanted]
    subprocess.run(command, check=True, timeout=300)
    (wheels / "requirements.txt").write_text("\n".join(wanted), encoding="utf-8")
    done = script(HERE / "base.sh", sys.executable, PYTHON, timeout_s=300)
    assert not done.returncode, done.stderr
    (folder / "Dockerfile").write_text((HERE / "Dockerfile").read_text(encoding="utf-8"), encoding="utf-8")
    docker.images.build(path=str(folder), tag=BASE, buildargs={"BASE": PYTHON}, rm=True)
    _wheels.append(wheel)
    return wheel


def build_bundle(docker: Any, folder: Path, wheel: Path, *, code: str = EXECUTOR) -> Path:
    """Make a bundle as `dure hub new` does, with `code` in it, and its image, named `worker`."""
    bundle = folder / "Worker"
    write(Scaffold(name="Worker", path=bundle, dockerfile=True))
    (bundle / "executor.py").write_text(code, encoding="utf-8")
    (bundle / wheel.name).write_bytes(wheel.read_bytes())
    build_args = {"BASE": BASE, "DURE": f"./{wheel.name}[serve]"}
    docker.images.build(path=str(bundle), tag="dure-test/worker", buildargs=build_args, rm=True)
    return bundle


def forget(docker: Any, prefix: str) -> None:
    """Remove the images whose names begin so."""
    while names := [name for image in docker.images.list() for name in _names(image) if name.startswith(prefix)]:
        docker.images.remove(names[0], force=True)  # a digest goes with its last tag


def _names(image: Any) -> list[str]:
    return [*image.tags, *image.attrs["RepoDigests"]]
