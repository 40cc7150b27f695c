"""A real OCI registry for tests, with TLS, a CA of its own and a password; and what a user of it sets."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dure.hub.scaffold import Scaffold, write

HERE = Path(__file__).parent
USER, PASSWORD = "tester", "a pass:word"


@dataclass(frozen=True)
class Site:
    """A registry that runs; `environment` is what the one who may use it has set."""

    folder: Path
    port: int

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DURE_HUB": f"{self.host}/team",
            "DURE_HUB_USER": USER,
            "DURE_HUB_PASSWORD": PASSWORD,
            "DURE_HUB_CA": str(self.folder / "ca.crt"),
        }

    def file(self, digest: str) -> Path:
        """Where a blob lies on the registry's disk."""
        value = digest.removeprefix("sha256:")
        return self.folder / "data/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"

    def log(self) -> str:
        return (self.folder / "registry.log").read_text(encoding="utf-8")


def script(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(HERE / "registry.sh"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **(env or {})}
    )


@contextlib.contextmanager
def registry(folder: Path, **settings: str) -> Iterator[Site]:
    """A registry for as long as this lasts; skips where none can be had. Its data stay in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    up = script("up", str(folder), str(port), USER, PASSWORD, env=settings)
    if up.returncode:
        pytest.skip(f"NO REGISTRY WAS TESTED: {up.stdout.strip() or up.stderr.strip()}")
    try:
        yield Site(folder, port)
    finally:
        script("down", str(folder))


def settle(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have set what a user of the registry has, whose cache and whose Docker account are in a folder."""
    own = {"DURE_CACHE": str(folder / "cache"), "DOCKER_CONFIG": str(folder / "docker")}
    for name, value in {**site.environment, **own}.items():
        monkeypatch.setenv(name, value)


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


def make_key(folder: Path, name: str = "key", *, kind: str = "EC") -> tuple[Path, Path]:
    """A private and a public key, made by openssl."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "EC" else []
    openssl("genpkey", "-algorithm", kind, *curve, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def make_bundle(folder: Path, *, name: str = "Shout", text: str = "") -> Path:
    """Make a bundle as `dure hub new` does, whose `/shout` shouts, with a file of any text beside it."""
    write(Scaffold(name=name, path=folder, description=f"{name} makes texts loud", keywords=("text", "두레")))
    (folder / "executor.py").write_text(
        "from dure import Executor, requests\n\n\n"
        f"class {name}(Executor):\n"
        "    @requests(on='/shout')\n"
        "    def shout(self, docs, **kwargs):\n"
        "        for doc in docs:\n"
        "            doc.text = doc.text.upper() + '!'\n",
        encoding="utf-8",
    )
    (folder / "data").mkdir()
    (folder / "data" / "words.txt").write_text(text, encoding="utf-8")
    (folder / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "run.sh").chmod(0o755)
    return folder
