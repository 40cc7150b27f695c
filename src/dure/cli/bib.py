"""`dure bib up`: serve trainings and predictions over gRPC until Ctrl-C.

Knows the options; what is served, dure.bib.server knows.
"""

from pathlib import Path
from typing import Any

import click


@click.group()
def bib() -> None:
    """Serve trainings and predictions."""


@bib.command()
@click.option("--train", is_flag=True, help="Take trainings.")
@click.option("--predict", is_flag=True, help="Answer with predictions.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
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
def up(**settings: Any) -> None:
    """Serve --train, --predict or both until Ctrl-C. Models and jobs are kept under DURE_HOME."""
    import asyncio

    from dure.bib.server import BibSettings, serve

    asyncio.run(serve(BibSettings(**settings)))
