"""What an image of a bundle runs: the bundle of this folder, served on port 8080 of all addresses.

Takes the options of `dure executor up`; its help tells what the bundle answers. Knows which of them differ in a
container: everything on one port, and no keys unless a file of them is given.
"""

import os
import sys
import traceback
from typing import Any

import click

from dure.backends.image import PORT
from dure.cli.options import given, spec_options
from dure.errors import DureError
from dure.flow.container import OF_CONTAINERS
from dure.spec import ExecutorSpec, GatewaySpec

_CONFIG = "config.yml"
_DEFAULTS: dict[str, Any] = {"host": "0.0.0.0", "protocol": ["http", "websocket", "grpc"], "port": [PORT] * 3}
_ABOUT = f"""
Ports:
  {PORT}   HTTP, WebSocket and gRPC, with dure's clients. Publish it under any number: -p 9000:{PORT}
         /docs in a browser lists the endpoints, /health/ready says whether it is ready

Keys:
  Whoever reaches the port is served, unless there is a file of keys (`dure keys add` makes it):
  docker run -v $PWD/keys.json:/keys.json:ro … --keys-file /keys.json

Environment:
  DURE_LOG_LEVEL   debug, info, warning or error
  HF_HUB_OFFLINE   1: nothing is asked of the Hugging Face Hub
  OMP_NUM_THREADS  cores that a call may use, if --cpu-threads does not say

Volumes:
  /tmp               sockets and scratch: --read-only needs --tmpfs /tmp
  /bundle/models     models that are not in the image: -v $PWD/models:/bundle/models:ro
  /home/dure/.cache  caches of libraries

GPUs:
  docker run --gpus all … --uses-with device=cuda, in an image that was built for GPUs
"""


class _Help(click.Command):
    """A command whose help begins with the bundle in this folder."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"Usage: docker run -p {PORT}:{PORT} IMAGE [OPTIONS]\n\n{_bundle()}{_ABOUT}\n")
        self.format_options(ctx, formatter)


@click.command(cls=_Help, context_settings={"help_option_names": ["-h", "--help"]})
@spec_options(ExecutorSpec, skip=("uses", "needs", *OF_CONTAINERS))
@spec_options(GatewaySpec)
def serve(**settings: Any) -> None:
    """Serve the bundle in this folder until SIGTERM."""
    from dure.flow.flow import Flow

    sys.path.append(os.getcwd())  # dotted names may name modules of this folder
    with Flow(**gateway_settings(settings)).add(uses=_CONFIG, **given(ExecutorSpec, settings)) as service:
        service.block()


def gateway_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the entrance of a container is told: what was given, over what a container needs.

    Args:
        settings: What was written on the command line.
    """
    told = given(GatewaySpec, settings)
    defaults = dict(_DEFAULTS)
    if "protocol" in told:
        defaults["port"] = [PORT] * len(told["protocol"])
    if "keys_file" not in told:
        defaults["insecure"] = True
    return defaults | told


def _bundle() -> str:
    """Tell of the bundle in this folder; where it cannot be read, why."""
    from dure.executor.endpoints import table
    from dure.executor.loader import resolve

    try:
        recipe = resolve(_CONFIG, [])
        rows = table(recipe.kind, recipe.requests, recipe.batching).values()
    except Exception as error:  # noqa: BLE001 - importing it runs code of the user
        return f"The bundle in this image cannot be read: {''.join(traceback.format_exception_only(error))}"
    name, about = recipe.metas.get("name", recipe.kind.__name__), recipe.metas.get("description", "")
    lines = [f"{name}: {about or (recipe.kind.__doc__ or '').strip().partition(chr(10))[0]}", "", "Endpoints:"]
    lines += [f"  {row.name}   {row.description}".rstrip() for row in rows]
    example = next((row.name for row in rows if row.name != "/default"), "/")
    lines += ["", f"""  curl localhost:{PORT}{example} -d '{{"data": [{{"text": "Hello"}}]}}'"""]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command with the arguments of this process; the entry point of an image."""
    try:
        serve(prog_name="docker run IMAGE")
    except DureError as error:
        from dure.cli.main import tell

        raise SystemExit(f"Error: {tell(error)}") from error


if __name__ == "__main__":
    main()
