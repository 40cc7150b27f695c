"""`dure flow up`: serve what a YAML file says until Ctrl-C.

Knows which settings the command line may put over the file's; what they mean, dure.flow knows.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from dure.cli.options import backend_options, given, spec_options
from dure.spec import GatewaySpec

if TYPE_CHECKING:
    from dure.flow.flow import Flow

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def flow() -> None:
    """Serve a Flow."""


@flow.command()
@click.argument("file", metavar="FLOW.yml", type=_FILE)
@backend_options
@click.option(
    "--working-dir",
    type=click.Path(exists=True, file_okay=False, path_type=str),
    help="folder that Ray brings to its nodes, where the workers then run",
)
@click.option(
    "--wait-for-resources",
    is_flag=True,
    help="wait, up to timeout_ready_s, where the cluster has no room now",
)
@spec_options(GatewaySpec)
def up(
    file: Path, backend: str, address: str | None, working_dir: str | None, wait_for_resources: bool, **settings: Any
) -> None:
    """Serve the Flow of a YAML file until Ctrl-C. Options go over what the file says."""
    from dure.flow.flow import Flow

    sys.path.append(os.getcwd())  # dotted names may name modules of this folder
    service = _with_gateway(Flow.load_config(file), given(GatewaySpec, settings))
    environment = None if working_dir is None else {"working_dir": working_dir}
    with service.start(backend, address=address, runtime_env=environment, wait_for_resources=wait_for_resources):
        service.block()


def _with_gateway(service: "Flow", settings: dict[str, Any]) -> "Flow":
    """Return the same Flow behind a gateway with other settings."""
    fields = asdict(service.spec)
    executors, gateway = fields.pop("executors"), asdict(fields.pop("gateway"))
    changed = type(service)(**fields, **{**gateway, **settings})
    for executor in executors:
        changed = changed.add(**asdict(executor))
    return changed
