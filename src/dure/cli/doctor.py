"""`dure doctor`: what this machine has of what dure can use, and for everything that is missing how to get it.

Looks and asks, changes nothing. The registry alone is asked over the network, if DURE_HUB names one.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from dure.errors import DureError, MissingDependency
from dure.offline import VARIABLE as OFFLINE
from dure.offline import is_offline

_LEAST_FREE_BYTES = 5 * 2**30
_LEAST_FILES = 4096
_SIGNS = {"good": "✓", "note": "-", "bad": "✗"}


class Finding(NamedTuple):
    """What was looked at, how it is (`good`; `note`: not there, which matters to some; `bad`), and what to do."""

    what: str
    state: str
    text: str
    fix: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Look at driver, container engine, CUDA, registry, disk and what is here for work without a network.

    Exits with 1 if something is broken; what is merely not there is told, with the way to get it.
    """
    found = [finding for look in _LOOKS for finding in _told(look)]
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in found], ensure_ascii=False, indent=2))
    else:
        width = max(len(finding.what) for finding in found)
        for finding in found:
            click.echo(f"{_SIGNS[finding.state]} {finding.what.ljust(width)}  {finding.text}")
            if finding.fix:
                click.echo(f"  {''.ljust(width)}  → {finding.fix}")
    if any(finding.state == "bad" for finding in found):
        sys.exit(1)


def _told(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what is found; an error of dure is a finding too, in its own words."""
    name = look.__name__.strip("_").replace("_", " ")
    try:
        yield from look()
    except MissingDependency as error:
        yield Finding(name, "note", str(error))
    except DureError as error:
        yield Finding(name, "bad", str(error))


def _python() -> Iterator[Finding]:
    dure = importlib.metadata.version("dure")
    yield Finding("python", "good", f"dure {dure} on Python {platform.python_version()}, {platform.system()}")
    if sys.platform != "win32":
        import resource

        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        few = files < _LEAST_FILES
        fix = f"ulimit -n {_LEAST_FILES}: every connection of a client is one" if few else ""
        yield Finding("open files", "note" if few else "good", f"at most {files} for each process", fix)


def _driver() -> Iterator[Finding]:
    from dure.device.probe import VISIBLE_VARIABLE, inventory

    found = inventory()
    for device in found.gpus:
        memory = "" if device.memory_total_bytes is None else f", {device.memory_total_bytes / 2**30:.0f} GiB"
        yield Finding(str(device.context), "good", f"{device.name}{memory}, driver {device.driver}")
    if found.missing:
        hidden = VISIBLE_VARIABLE in found.missing
        unhide = f"unset {VISIBLE_VARIABLE}, or name the GPUs that are to be seen"
        fix = unhide if hidden else _driver_fix(found.missing)
        yield Finding("GPU", "note", f"none is seen: {found.missing}", fix)


def _driver_fix(missing: str) -> str:
    if "dure[" in missing:
        return ""  # the sentence says it
    return "for an NVIDIA GPU: https://www.nvidia.com/drivers (the driver alone; PyTorch brings CUDA)"


def _pytorch() -> Iterator[Finding]:
    from dure.device.probe import inventory

    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("PyTorch", "note", "is not installed", "pip install 'dure[torch]'")
        return
    if not inventory().gpus or os.environ.get("DURE_SIMULATE_GPUS"):
        yield Finding("PyTorch", "good", version)
        return
    import torch  # takes seconds, so only where there is a GPU to ask about

    if torch.cuda.is_available():
        yield Finding("PyTorch", "good", f"{version}, CUDA {torch.version.cuda}, sees {torch.cuda.device_count()} GPUs")
        return
    if torch.version.cuda is None:
        fix = f"install its build for CUDA: pip install --force-reinstall torch=={version.partition('+')[0]}"
        yield Finding("PyTorch", "bad", f"{version} is a build without CUDA, and there is a GPU", fix)
        return
    fix = f"its CUDA is {torch.version.cuda}; a driver as old as that does not know it: upgrade the driver"
    yield Finding("PyTorch", "bad", f"{version} sees no GPU, and there is one", fix)


def _containers() -> Iterator[Finding]:
    from dure.backends.engine import TOOLKIT, Engine
    from dure.device.probe import inventory

    engine = None
    try:
        engine = Engine()
    except DureError as error:
        yield Finding("containers", "note", str(error))
    if engine is None:
        return
    try:
        about = engine.describe()
        yield Finding("containers", "good", f"{about.name}, images for {about.architecture}, kept in {about.folder}")
        if about.nvidia:
            yield Finding("gpus=", "good", "the engine has the NVIDIA runtime")
        else:
            state = "bad" if inventory().gpus and not os.environ.get("DURE_SIMULATE_GPUS") else "note"
            yield Finding("gpus=", state, "the engine has no NVIDIA runtime, so containers get no GPU", TOOLKIT)
        if Path(about.folder).is_dir():
            yield _free("disk of the engine", Path(about.folder))
    finally:
        engine.close()


def _registry() -> Iterator[Finding]:
    hub = os.environ.get("DURE_HUB", "")
    if not hub:
        fix = "export DURE_HUB=registry.example:5000/team"
        yield Finding("registry", "note", "DURE_HUB names none, so hub://Name is looked for on this machine only", fix)
        return
    from dure.hub.connection import Connection
    from dure.hub.reference import parse_hub

    registry, _ = parse_hub(hub)
    if is_offline():
        yield Finding("registry", "note", f"{registry} is not asked: {OFFLINE} is set")
        return
    connection = Connection(registry)
    try:
        status = connection.send("GET", "/v2/").status_code
    finally:
        connection.close()
    if status == 200:
        yield Finding("registry", "good", f"{registry} answers, and lets this account in")
    else:
        yield Finding("registry", "bad", f"{registry} answers {status} to /v2/", "is it an OCI registry?")


def _disk() -> Iterator[Finding]:
    from dure.hub.store import cache_folder

    yield _free("disk of temporary files", Path(tempfile.gettempdir()))
    yield _free("disk of the cache", _existing(cache_folder()))


def _free(what: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free >= _LEAST_FREE_BYTES:
        return Finding(what, "good", text)
    return Finding(what, "bad", text, "an image with PyTorch takes 1 to 6 GiB: make room, or use another disk")


def _offline() -> Iterator[Finding]:
    from dure.nlp.snapshot import models_folder

    models = _models()
    text = ", ".join(models) or f"none in {models_folder()}"
    yield Finding("models here", "good" if models else "note", text)
    bundles = _bundles()
    yield Finding("bundles here", "good" if bundles else "note", ", ".join(bundles) or "none")
    if is_offline() and os.environ.get("HF_HUB_OFFLINE") != "1":
        fix = "export HF_HUB_OFFLINE=1, or a model by name is looked for at Hugging Face"
        yield Finding("offline", "bad", f"{OFFLINE} is set, and HF_HUB_OFFLINE is not", fix)
    else:
        yield Finding("offline", "good", "nothing is fetched" if is_offline() else f"{OFFLINE}=1 would fetch nothing")


def _models() -> list[str]:
    """List the models that installed packages carry, and those of Hugging Face's cache."""
    from dure.nlp.snapshot import PACKAGES, models_folder

    installed = {one.metadata["Name"].lower() for one in importlib.metadata.distributions()}
    carried = [name for name, package in PACKAGES.items() if package.distribution in installed]
    cached = (path.name.removeprefix("models--").replace("--", "/") for path in models_folder().glob("models--*"))
    return sorted({*carried, *cached})


def _bundles() -> list[str]:
    """List the bundles in the cache by the tags that they have there."""
    from dure.hub.store import Store

    refs = Store().root / "refs"
    tags = sorted(path.relative_to(refs) for path in refs.glob("**/@*"))
    return [f"{path.parent.parent.as_posix()}:{path.name[1:]}" for path in tags]


def _existing(folder: Path) -> Path:
    return folder if folder.is_dir() else _existing(folder.parent)


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _driver,
    _pytorch,
    _containers,
    _registry,
    _disk,
    _offline,
)
