"""`dure executor up`: serve one Executor, as a Flow of one, until Ctrl-C.

Knows that an Executor is served behind a gateway; the options are those of `Flow.add` and of the
gateway.
"""

import os
import sys
from typing import Any

import click

from dure.cli.options import given, spec_options
from dure.spec import ExecutorSpec, GatewaySpec


@click.group()
def executor() -> None:
    """Serve one Executor."""


@executor.command()
@click.argument("uses")
@spec_options(ExecutorSpec, skip=("uses", "needs"))
@spec_options(GatewaySpec)
def up(uses: str, **settings: Any) -> None:
    """Serve USES until Ctrl-C: a config.yml, a bundle's folder, a .py file or a dotted name.

    Values of --uses-with that are JSON are read as such: 8 is an int, '"8"' a text.
    """
    from dure.flow.flow import Flow

    sys.path.append(os.getcwd())  # dotted names may name modules of this folder
    service = Flow(**given(GatewaySpec, settings)).add(uses=uses, **given(ExecutorSpec, settings))
    with service:
        service.block()
