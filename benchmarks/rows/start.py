"""Rows: how soon a no-op Flow is ready and what memory it takes; how long `import dure` and `dure --help` take; what a
core install weighs."""

import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import machine
from peers.server import Server
from processes import Program, memory_mb
from report import Row, raw
from series import interleaved
from sizes import Sizes

_IMPORT = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_COUNT = """
import importlib.metadata as m
print(len({d.name.lower() for d in m.distributions()} - {"pip", "setuptools", "dure", "numpy"}))
"""


def ready(sizes: Sizes, tell: Callable[[str], None], peer: Callable[[], Server] | None) -> Iterator[Row]:
    works = {"dure": _start_flow}
    if peer is not None:
        works["mosec"] = lambda: _start_mosec(peer)
    found = interleaved(sizes.starts, works, tell)
    ready_s, pss = found["dure.ready_s"], found["dure.pss_mb"]
    parts = ", ".join(f"{name} {found[f'dure.{name}_pss_mb'].median:.0f}" for name in ("parent", "gateway", "worker"))
    yield Row(
        "no-op Flow: `with f:` until it is ready",
        f"{ready_s.text(2)} s; from the start of Python to the first answer {found['dure.process_s'].text(2)} s",
        "<= 0.8 s",
        ready_s.median <= 0.8,
        raw(found),
    )
    yield Row(
        "memory of a no-op Flow: the parent with what dure needs, gateway and worker",
        f"{pss.text()} MB, shared pages counted once ({parts});"
        f" {found['dure.rss_mb'].text()} MB counted in each process",
        "<= 120 MB",
        pss.median <= 120,
    )
    if peer is not None:
        yield Row(
            "mosec: from the start of Python to the first answer, and its memory",
            f"{found['mosec.process_s'].text(2)} s; {found['mosec.pss_mb'].text()} MB, shared pages counted once;"
            f" {found['mosec.rss_mb'].text()} MB counted in each process",
        )


def _start_flow() -> dict[str, float]:
    start = time.perf_counter()
    with Program("noop_flow.py") as program:
        told = program.answer()
        process_s = time.perf_counter() - start
        gateway = told["pids"].pop("gateway")
        worker = next(iter(told["pids"].values()))
        found = {name: memory_mb(pid) for name, pid in zip(_PARTS, (program.pid, gateway, worker), strict=True)}
    return {
        "ready_s": told["ready_s"],
        "process_s": process_s,
        "rss_mb": sum(rss for rss, _ in found.values()),
        "pss_mb": sum(pss for _, pss in found.values()),
        **{f"{name}_pss_mb": pss for name, (_, pss) in found.items()},
    }


_PARTS = ("parent", "gateway", "worker")


def _start_mosec(peer: Callable[[], Server]) -> dict[str, float]:
    with peer() as mosec:
        rss, pss = mosec.memory_mb()
        return {"process_s": mosec.answered_s, "rss_mb": rss, "pss_mb": pss}


def imports(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    command = shutil.which("dure", path=str(Path(sys.executable).parent))
    asked = [command] if command else [sys.executable, "-m", "dure.cli.main"]
    found = interleaved(
        sizes.imports,
        {
            "import dure": lambda: _import("import dure"),
            "from dure import Flow": lambda: _import("from dure import Flow"),
            "dure --help": lambda: _wall([*asked, "--help"]),
            "python -c pass": lambda: _wall([sys.executable, "-c", "pass"]),
        },
        lambda _: None,
    )
    for work, unit, limit_ms in (
        ("import dure", "import_ms", 100),
        ("from dure import Flow", "import_ms", None),
        ("dure --help", "wall_ms", 200),
        ("python -c pass", "wall_ms", None),
    ):
        took = found[f"{work}.{unit}"]
        yield Row(
            f"`{work}`" + (", in the process" if unit == "import_ms" else ", from start to end"),
            f"{took.text()} ms",
            f"<= {limit_ms} ms" if limit_ms else "",
            took.median <= limit_ms if limit_ms else None,
            {f"{work}.{unit}": took.values},
        )


def _import(statement: str) -> dict[str, float]:
    command = [sys.executable, "-c", _IMPORT.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"import_ms": float(done.stdout) * 1e3}


def _wall(command: list[str]) -> dict[str, float]:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return {"wall_ms": (time.perf_counter() - start) * 1e3}


def install(tell: Callable[[str], None]) -> Iterator[Row]:
    """Install dure without extras into an environment of its own, from a copy of the sources."""
    work, target = "core install, besides numpy: packages and size", "<= 15 packages, <= 60 MB"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for part in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(machine.ROOT / part, folder)
        shutil.copytree(machine.ROOT / "src" / "dure", folder / "src" / "dure")
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        tell("pip install .")
        pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", str(folder)]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it did not say why"])[-1]
            yield Row(work, f"skipped: pip could not install it: {reason}", target)
            return
        count = int(subprocess.run([python, "-c", _COUNT], capture_output=True, text=True, check=True).stdout)
        megabytes = sum(path.stat().st_size for path in _installed(folder / "venv")) / 1e6
    yield Row(
        work,
        f"{count} packages, {megabytes:.0f} MB (dure among them, no byte code)",
        target,
        count <= 15 and megabytes <= 60,
        {"packages": (count,), "megabytes": (megabytes,)},
    )


def _installed(folder: Path) -> Iterator[Path]:
    site = next(folder.glob("lib/python*/site-packages"))
    for path in site.rglob("*"):
        top = path.relative_to(site).parts[0]
        others = top.startswith(("numpy", "pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-"))
        if not others and path.is_file() and "__pycache__" not in path.parts:
            yield path


def streaming(sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Row]:
    """Memory of every process while a generator's documents stream through a no-op Flow."""
    marks: dict[str, list[float]] = {}
    sent: list[int] = []
    with Program("noop_flow.py", str(sizes.streamed_documents)) as program:
        pids = {"parent": program.pid, **program.answer()["pids"]}
        told = program.ask("go")
        while True:
            sent.append(told["sent"])
            tell(f"{told['sent']:,} documents")
            for name, pid in pids.items():
                marks.setdefault(name, []).append(memory_mb(pid)[0])
            if told["sent"] == sizes.streamed_documents:
                program.close()
                break
            told = program.ask("go on")
    grown = {name: values[-1] - values[1] for name, values in marks.items()}
    shown = "; ".join(f"{name} " + " / ".join(f"{mb:.0f}" for mb in values[1:]) for name, values in marks.items())
    yield Row(
        f"memory while {sizes.streamed_documents:,} documents stream, at 10 / 50 / 100 %",
        f"{shown} MB",
        "flat: no process grows by 10 MB",
        max(grown.values()) < 10,
        {**{name: tuple(values) for name, values in marks.items()}, "sent": tuple(map(float, sent))},
    )
