"""`dure flow up`: serve what a YAML file says until Ctrl-C.

Knows which settings the command line may put over the file's; what they mean, dure.flow knows.
"""

from pathlib import Path
from typing import Any

import click

from dure.cli.options import given, spec_options
from dure.spec import GatewaySpec


@click.group()
def flow() -> None:
    """Serve a Flow."""


@flow.command()
@click.argument(
    "file", metavar="FLOW.yml", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@spec_options(GatewaySpec)
def up(file: Path, **settings: Any) -> None:
    """Serve the Flow of a YAML file until Ctrl-C. Options go over what the file says."""
    from dure.flow.flow import Flow

    with Flow.load_config(str(file), **given(GatewaySpec, settings)) as service:
        service.block()
