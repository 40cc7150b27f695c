"""`dure hub`: bundles made, built into images, and shared in a registry. Knows which commands there are."""

import click

from dure.cli.hub_build import build_image
from dure.cli.hub_catalog import inspect, list_all, search
from dure.cli.hub_exchange import pull, push, run
from dure.cli.hub_new import new


@click.group()
def hub() -> None:
    """Make Executor bundles and their images, and share them in a registry."""


for _command in (new, build_image, push, pull, run, list_all, search, inspect):
    hub.add_command(_command)
