"""`dure hub build`: an image of a bundle, for a CPU or for NVIDIA's GPUs, with models in it if they are named.

Puts together what others know: the bundle's files, the Dockerfile, the models' files, this dure. Prints progress.
"""

import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from dure.cli.options import Pair
from dure.errors import HubError, SpecError, ValidationError
from dure.hub import release
from dure.hub.build import Image, Order, build
from dure.hub.context import pack
from dure.hub.dockerfile import BASES, DEVICES, base_name, check_arguments, check_image, check_line
from dure.hub.engine import connect
from dure.hub.scaffold import Scaffold, dockerfile_of

_CONFIG = "config.yml"
_MODELS = "models"


@dataclass(kw_only=True)
class _Plan:
    """What goes into the build: files beside those of the folder, arguments and labels."""

    folder: Path
    scaffold: Scaffold
    device: str
    base: str = ""
    beside: dict[str, Path | str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@click.command("build")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--device", type=click.Choice([*DEVICES]), default="cpu", show_default=True, help="What it computes on.")
@click.option("--tag", help="Name of the image.  [default: the Executor's, sentence-encoder:cpu]")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Put a model under models/: a folder, a name, or one that was trained here.  [repeatable]",
)
@click.option("--onnx", type=click.Choice(["fp32", "int8"]), help="Put the models in as ONNX, in place of the weights.")
@click.option("--base", help=f"Image to start from; short: {', '.join(BASES)}.  [default: slim]")
@click.option("--requirements", help="Another file of requirements in the folder.  [default: requirements.txt]")
@click.option("--wheels", type=click.Path(path_type=Path), help="Folder of wheels: pip asks no network then.")
@click.option("--uses-with", type=Pair(typed=True), multiple=True, help="Set in the image's config.yml.  [repeatable]")
@click.option("--build-arg", type=Pair(typed=False), multiple=True, help="Of the Dockerfile.  [repeatable]")
@click.option("--network", help="Of the build's containers: host, none, or a network of the engine.")
@click.option("--no-cache", "fresh", is_flag=True, help="Do every step again.")
@click.option("--verbose", is_flag=True, help="Show all that the engine writes.")
def build_image(folder: Path, **options: Any) -> None:
    """Build an image of the bundle in FOLDER (this one, if none is named).

    Its Dockerfile is taken (Dockerfile.gpu for --device gpu), or one is made for this build. It starts with
    `docker run -p 8080:8080 IMAGE`, and in a Flow with uses='docker://IMAGE'.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dure-build-") as scratch, contextlib.ExitStack() as stack:
        try:
            plan = _plan(folder, options)
            _order_arguments(plan, options)
            tag = check_image("tag", options["tag"] or f"{plan.scaffold.image}:{plan.device}")
        except ValidationError as error:
            raise click.UsageError(f"--{error}") from error
        # What is quick to find wrong comes before what takes long.
        client = stack.enter_context(contextlib.closing(connect()))
        for model in options["models"]:
            _add_model(plan, model, options["onnx"])
        _add_dure(plan, Path(scratch))
        for note in plan.notes:
            click.echo(note)
        order = Order(
            tag=tag,
            dockerfile="Dockerfile",
            base=plan.base or base_name("slim"),
            arguments=plan.arguments,
            labels=plan.labels,
            network=options["network"],
            fresh=options["fresh"],
        )
        context = stack.enter_context(pack(plan.folder, plan.beside))
        image = build(client, context, order, _teller(verbose=options["verbose"]))
    click.echo(_told(image, time.monotonic() - started))


def _plan(folder: Path, options: dict[str, Any]) -> _Plan:
    path = folder / _CONFIG
    if not path.is_file():
        raise HubError(f"{folder}: no bundle: it has no {_CONFIG} (`dure hub new` makes one)")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        raise SpecError(f"{path}: broken YAML: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("jtype"), str):
        raise SpecError(f"{path}: jtype: must name the Executor class")
    metas = config.get("metas") or {}
    scaffold = Scaffold(
        name=config["jtype"].rpartition(".")[2],
        path=folder,
        description=str(metas.get("description") or ""),
        url=str(metas.get("url") or ""),
        base=options["base"] or "slim",
    )
    plan = _Plan(folder=folder, scaffold=scaffold, device=options["device"])
    if options["uses_with"]:
        config["with"] = {**(config.get("with") or {}), **dict(options["uses_with"])}
        plan.beside[_CONFIG] = yaml.safe_dump(config, allow_unicode=True, sort_keys=False, width=1000)
    _add_dockerfile(plan)
    _add_requirements(plan, options["requirements"])
    return plan


def _add_dockerfile(plan: _Plan) -> None:
    own = dockerfile_of(plan.scaffold, plan.device)
    path = plan.folder / own.name
    if path.is_file():
        plan.beside["Dockerfile"] = path.read_text(encoding="utf-8")
        plan.notes.append(f"{path} is built.")
        return
    plan.beside["Dockerfile"] = own.render()
    plan.notes.append(f"{plan.folder} has no {own.name}: one is made for this build.")


def _add_requirements(plan: _Plan, name: str | None) -> None:
    if name is not None:
        check_line("requirements", name)
        if Path(name).name != name or not name.startswith("requirements"):
            raise ValidationError(f"requirements: {name!r} is no requirements….txt in the bundle's folder")
        plan.arguments["REQUIREMENTS"] = name
    wanted = plan.folder / (name or "requirements.txt")
    if not wanted.is_file():
        raise HubError(f"{wanted}: there is no such file; an empty one says that dure is all that is needed")


def _order_arguments(plan: _Plan, options: dict[str, Any]) -> None:
    given = dict(options["build_arg"])
    if options["base"]:
        plan.base = plan.arguments["BASE"] = base_name(options["base"])
    if options["wheels"] is not None:
        wheels = sorted(options["wheels"].glob("*.whl"))
        if not wheels:
            raise HubError(f"{options['wheels']}: no wheels there. pip download -d {options['wheels']} … fetches them")
        plan.beside |= {f"wheels/{path.name}": path for path in wheels}
        plan.arguments |= {"PIP_NO_INDEX": "1", "TORCH_INDEX": ""}
    plan.arguments |= given
    check_arguments(plan.arguments)
    plan.base = plan.arguments.get("BASE", plan.base)
    if options["network"] is not None:
        check_line("network", options["network"])
    plan.labels["dev.dure.device"] = plan.device


def _add_model(plan: _Plan, model: str, onnx: str | None) -> None:
    from dure.hub.snapshot import read_snapshot
    from dure.nlp.snapshot import TRANSFORMER_FILES, resolve

    folder, name = Path(model).expanduser(), ""
    if not folder.is_dir() and _add_trained(plan, model):
        return
    if not folder.is_dir():
        found = resolve(model, files=TRANSFORMER_FILES)
        found.verify()
        folder, name = found.folder, model.rpartition("/")[2]
    files = read_snapshot(folder, name)
    taken: dict[str, Path | str] = {
        key: path for key, path in files.files.items() if onnx is None or key not in files.weights
    }
    if onnx is not None:
        from dure.nlp.carry import files_in_place_of_weights

        taken = {**taken, **files_in_place_of_weights(folder, onnx)}
    for key, content in taken.items():
        plan.beside[f"{_MODELS}/{files.name}/{key}"] = content
    plan.arguments.setdefault("HF_HUB_OFFLINE", "1")
    _note_model(plan, files.name, files.num_bytes, folder)


def _add_trained(plan: _Plan, reference: str) -> bool:
    """Put a model of the store into the image, if it is one: `names`, `names@3` or `names@prod`."""
    from dure.errors import ModelNotFound
    from dure.store.store import ModelStore

    try:
        version = ModelStore().resolve(reference)
    except (ModelNotFound, ValidationError):
        return False
    version.verify()
    for path in sorted(version.folder.rglob("*")):
        if path.is_file():
            place = path.relative_to(version.folder.parents[1]).as_posix()  # names/3/model.json
            plan.beside[f"{_MODELS}/{place}"] = path
    _note_model(plan, str(version), version.size_bytes, version.folder)
    return True


def _note_model(plan: _Plan, name: str, num_bytes: int, folder: Path) -> None:
    names = [*filter(None, [plan.labels.get("dev.dure.models", "")]), name]
    plan.labels["dev.dure.models"] = ",".join(names)
    plan.notes.append(f"{_MODELS}/{name}: {num_bytes / 1e6:,.1f} MB from {folder}, complete.")


def _add_dure(plan: _Plan, scratch: Path) -> None:
    if "DURE" in plan.arguments:
        return
    root = release.checkout()
    if root is None:
        plan.arguments["DURE"] = release.requirement()
        return
    wheel = release.make_wheel(root, scratch)
    plan.beside[wheel.name] = wheel
    plan.arguments["DURE"] = f"./{wheel.name}[serve]"
    plan.notes.append(f"This dure is no release: a wheel of {root} goes into the image.")


def _teller(*, verbose: bool) -> Any:
    """Return what shows a line: all of them, or the steps, and on a terminal what is being done."""
    width = shutil.get_terminal_size().columns - 1

    def tell(line: str) -> None:
        if verbose or line.startswith("Step "):
            click.echo(line if verbose else line[:width])
        elif sys.stdout.isatty():
            click.echo(f"\r\x1b[K  {line.strip()[: width - 2]}\r", nl=False)

    return tell


def _told(image: Image, seconds: float) -> str:
    lines = [f"{layer.size_bytes / 1e6:9,.1f} MB  {layer.made_by:.100}" for layer in image.layers]
    return "\n".join(
        [
            "",
            f"Built {image.name} in {seconds:.0f} s: {image.size_bytes / 1e6:,.1f} MB in {len(lines)} layers",
            f"  {image.id}",
            *lines,
            "",
            f"  docker run -p 8080:8080 {image.name}          # and --help",
            f"  Flow().add(uses='docker://{image.name}')",
        ]
    )
