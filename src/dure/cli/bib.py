"""`dure bib up`: serve trainings and predictions over gRPC until Ctrl-C.

Knows the options; what is served, dure.bib.server knows.
"""

from pathlib import Path
from typing import Any

import click

from dure.cli.options import given, spec_options
from dure.spec import GatewaySpec, build

_DOOR = {"host", "keys_file", "insecure", "tls_cert", "tls_key", "tls_client_ca", "audit_file"}
_DOOR |= {name for name in GatewaySpec.__struct_fields__ if name.endswith("_per_address")}
"""What a Flow's doors have, and this one, too."""


@click.group()
def bib() -> None:
    """Serve trainings and predictions."""


@bib.command()
@click.option("--train", is_flag=True, help="Take trainings.")
@click.option("--predict", is_flag=True, help="Answer with predictions.")
@click.option("--port", type=click.IntRange(0, 65535), default=50051, show_default=True, help="0 takes a free one.")
@click.option("--device", default="cpu", show_default=True, help="cpu, gpu or gpu:1.")
@click.option(
    "--max-message-bytes",
    type=click.IntRange(min=1024, max=2**31 - 1),
    default=256 * 2**20,
    show_default=True,
    help="The largest request that is taken; a data set travels in one.",
)
@click.option(
    "--max-model-bytes",
    type=click.IntRange(min=1),
    help="How much loaded models may take.  [default: half of the device's memory]",
)
@click.option(
    "--encoders",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the encoders that requests may name.",
)
@click.option(
    "--grace-s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to finish calls at the end.",
)
@spec_options(GatewaySpec, skip=set(GatewaySpec.__struct_fields__) - _DOOR)
def up(**settings: Any) -> None:
    """Serve --train, --predict or both until Ctrl-C. Models and jobs are kept under DURE_HOME."""
    import asyncio

    from dure.bib.server import BibSettings, serve

    door = {name: settings.pop(name) for name in _DOOR}
    asyncio.run(serve(BibSettings(door=build(GatewaySpec, given(GatewaySpec, door), "bib up"), **settings)))
