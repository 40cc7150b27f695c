"""`dure map`: an Executor over a file of rows that is larger than memory, into a folder of Parquet files.

Knows the options; the settings of the Executor are those of `Flow.add`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from dure.bulk.job import MapSpec
from dure.cli.client import json_object
from dure.cli.options import given, spec_options
from dure.spec import ExecutorSpec


@click.command("map")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--executor", "uses", required=True, help="Who is asked: a config.yml, folder, .py file or dotted name.")
@click.option("--on", required=True, help="Endpoint, e.g. /encode.")
@click.option(
    "--backend", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where it runs."
)
@click.option("--parameters", callback=json_object, help="A JSON object for the method; types are kept.")
@click.option("--no-text", is_flag=True, help="No column of a Parquet file is the text.")
@click.option("--progress/--no-progress", default=True, help="Show progress.  [default: show it]")
@click.option("--wait-for-resources", is_flag=True, help="Wait for a Ray cluster that grows, or lets go of others.")
@spec_options(MapSpec, skip=("parameters", "show_progress", "wait_for_resources"))
@spec_options(ExecutorSpec, skip=("uses", "needs", "group"))
def map(source: Path, target: Path, **settings: Any) -> None:  # noqa: A001 - the command's name
    """Ask an Executor about every row of SOURCE, and write what it answers into the folder TARGET.

    SOURCE is a .parquet or .jsonl file, or a folder of either. The rows come back in their order, one for each, in
    Parquet files of --part-rows rows. After Ctrl-C or a kill the same command goes on with what is missing.
    """
    from dure.bulk.mapping import map_rows

    sys.path.append(os.getcwd())  # dotted names may name modules of this folder
    words = {**given(MapSpec, settings), **given(ExecutorSpec, settings), "parameters": settings["parameters"]}
    words["wait_for_resources"] = settings["wait_for_resources"]
    if settings["no_text"]:
        if "text" in words:
            raise click.UsageError("Give either --text or --no-text.")
        words["text"] = None
    try:
        mapped = map_rows(
            source, target, on=settings["on"], backend=settings["backend"], show_progress=settings["progress"], **words
        )
    except KeyboardInterrupt:
        click.echo(f"Stopped. What is done is in {target}; the same command goes on from there.", err=True)
        sys.exit(130)
    before = f", {mapped.num_resumed:,} of them before" if mapped.num_resumed else ""
    click.echo(
        f"{mapped.num_rows:,} rows in {mapped.num_parts:,} parts{before}: {target} ({mapped.elapsed_time_s:.1f} s)"
    )
