"""`dure plan`: who would run where, and why; starts nothing."""

from pathlib import Path

import click


@click.command()
@click.argument("file", metavar="FLOW.yml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def plan(file: Path) -> None:
    """Print where every replica of a Flow would run on this machine, and why."""
    from dure.flow.flow import Flow

    click.echo(str(Flow.load_config(file).plan()))
