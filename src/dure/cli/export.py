"""`dure export kubernetes|compose`: a Flow whose Executors are images, for engines that start containers.

Prints or writes what `dure.export` made; notes and what has to be done by hand go to standard error.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dure.cli.options import image_option
from dure.errors import SpecError

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)
_GPU = "nvidia.com/gpu"


@click.group()
def export() -> None:
    """Write a Flow for Kubernetes or compose."""


def _common(command: F) -> F:
    options = [
        click.argument("file", metavar="FLOW.yml", type=_FILE),
        image_option,
        click.option("--gateway-image", help="Image of the gateway.  [default: the first Executor's]"),
        click.option("--gateways", type=click.IntRange(1), default=1, show_default=True, help="How many gateways."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@export.command()
@_common
@click.option("-o", "--output", type=_PATH, metavar="DIR", help="Folder for the files.  [default: standard output]")
@click.option("--helm", is_flag=True, help="Write a chart of Helm; needs -o.")
@click.option("--gpu-resource", help=f"What a GPU is called by the nodes.  [default: {_GPU}]")
@click.option("--volume-size", help="Of each PersistentVolumeClaim.  [default: 10Gi]")
@click.option("--host-paths", is_flag=True, help="Mount folders of the nodes, which all nodes must have.")
def kubernetes(file: Path, output: Path | None, helm: bool, **options: Any) -> None:
    """Write manifests, as YAML or as a chart of Helm; `kubectl apply -f` takes them."""
    from importlib.metadata import version

    from dure.export.files import write_files, yaml_text
    from dure.export.helm import chart_of, file_name
    from dure.export.kubernetes import Cluster, manifests_of

    if helm and output is None:
        raise SpecError("--helm: a chart is a folder; say which: -o DIR")
    told = {"gpu": options["gpu_resource"], "volume_size": options["volume_size"], "host_paths": options["host_paths"]}
    cluster = Cluster(**{name: value for name, value in told.items() if value is not None})
    made = manifests_of(file, _wishes(options), cluster)
    if output is None:
        click.echo(yaml_text(*made.documents), nl=False)
    elif helm:
        _tell_files(write_files(output, chart_of(made, version("dure")), stale=["templates/*"]), output)
    else:
        files = {file_name(document): yaml_text(document) for document in made.documents}
        _tell_files(write_files(output, files, stale=["*.yaml"]), output)
    for command in made.commands:
        click.echo(f"Before it can start:  {command}", err=True)
    _tell_notes(made.notes)


@export.command()
@_common
@click.option("-o", "--output", type=_PATH, metavar="FILE", default="compose.yaml", show_default=True)
@click.option("--nginx-image", help="Image of nginx, which stands before several gateways.  [default: nginx:1.27]")
def compose(file: Path, output: Path, nginx_image: str | None, **options: Any) -> None:
    """Write a compose file, and the files that it mounts beside it; `docker compose up` takes it."""
    from dure.export.compose import NGINX_IMAGE, composition_of
    from dure.export.files import write_files, yaml_text

    made = composition_of(file, _wishes(options), nginx_image or NGINX_IMAGE, output)
    beside = {f"{output.stem}.d/{name}": text for name, text in made.beside.items()}
    files = {output.name: yaml_text(made.document), **beside}
    _tell_files(write_files(output.parent, files, stale=[f"{output.stem}.d/*"]), output.parent)
    _tell_notes(made.notes)


def _wishes(options: dict[str, Any]) -> Any:
    from dure.export.workload import Wishes

    return Wishes(images=dict(options["images"]), gateway_image=options["gateway_image"], gateways=options["gateways"])


def _tell_files(paths: list[Path], folder: Path) -> None:
    click.echo(
        f"{len(paths)} files in {folder}: {', '.join(str(path.relative_to(folder)) for path in paths)}", err=True
    )


def _tell_notes(notes: list[str]) -> None:
    for note in notes:
        click.echo(note, err=True)
