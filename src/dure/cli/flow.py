"""`dure flow up`: serve what a YAML file says until Ctrl-C.

Knows which settings the command line may put over the file's; what they mean, dure.flow knows.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from dure.cli.options import given, spec_options
from dure.spec import GatewaySpec

if TYPE_CHECKING:
    from dure.flow.flow import Flow

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def flow() -> None:
    """Serve a Flow."""


@flow.command()
@click.argument("file", metavar="FLOW.yml", type=_FILE)
@spec_options(GatewaySpec)
def up(file: Path, **settings: Any) -> None:
    """Serve the Flow of a YAML file until Ctrl-C. Options go over what the file says."""
    from dure.flow.flow import Flow

    sys.path.append(os.getcwd())  # dotted names may name modules of this folder
    service = _with_gateway(Flow.load_config(file), given(GatewaySpec, settings))
    with service:
        service.block()


def _with_gateway(service: "Flow", settings: dict[str, Any]) -> "Flow":
    """Return the same Flow behind a gateway with other settings."""
    fields = asdict(service.spec)
    executors, gateway = fields.pop("executors"), asdict(fields.pop("gateway"))
    changed = type(service)(**fields, **{**gateway, **settings})
    for executor in executors:
        changed = changed.add(**asdict(executor))
    return changed
