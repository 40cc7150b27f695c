"""The command itself: which subcommands there are, and how an error is told to a person.

Knows one line about each subcommand; their modules are imported when they are called, so that
`dure --help` is fast.
"""

import importlib
import os
import traceback

import click

from dure.errors import DureError

_COMMANDS = {
    "bench": ("dure.cli.bench", "Measure devices, encoders and services."),
    "bib": ("dure.cli.bib", "Serve trainings and predictions over gRPC."),
    "client": ("dure.cli.client", "Send Documents to a Flow."),
    "devices": ("dure.cli.devices", "List the devices of this machine."),
    "doctor": ("dure.cli.doctor", "See what this machine has of what dure can use."),
    "evaluate": ("dure.cli.evaluate", "See how good a model is."),
    "executor": ("dure.cli.executor", "Serve one Executor."),
    "export": ("dure.cli.export", "Write a Flow for Kubernetes or compose."),
    "flow": ("dure.cli.flow", "Serve a Flow."),
    "hub": ("dure.cli.hub", "Make, share and fetch Executor bundles."),
    "jobs": ("dure.cli.jobs", "See and cancel trainings."),
    "keys": ("dure.cli.keys", "Make, list and revoke API keys."),
    "map": ("dure.cli.map", "Ask an Executor about every row of a file."),
    "models": ("dure.cli.models", "See, name and delete trained models."),
    "plan": ("dure.cli.plan", "Print who would run where."),
    "predict": ("dure.cli.predict", "Classify texts, or find the entities in them."),
    "train": ("dure.cli.train", "Train a model on your data."),
}


class _Root(click.Group):
    """A group that imports a subcommand only to run it, and tells dure's errors in one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DureError as error:
            raise click.ClickException(tell(error)) from error


def tell(error: DureError) -> str:
    """Return the message of an error, and tracebacks only where they were asked for."""
    message = str(error.args[0]) if error.args else type(error).__name__
    # A child that did not start has the traceback of its own exception in its message.
    message, _, hidden = message.partition("\n\nTraceback (most recent call last):\n")
    if os.environ.get("DURE_LOG_LEVEL", "").lower() == "debug":
        return f"{message}\n\n{''.join(traceback.format_exception(error)).rstrip()}"
    hidden = hidden or getattr(error, "remote_traceback", "")
    return f"{message}\n(dure --debug … shows the traceback)" if hidden else message


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"dure {version('dure')}")
        ctx.exit()


def _debug(_ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ["DURE_LOG_LEVEL"] = "debug"


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_debug,
    help="Log everything and show tracebacks, as DURE_LOG_LEVEL=debug does.",
)
def cli() -> None:
    """Build and serve Executors on any device."""


def main() -> None:
    """Run the command with the arguments of this process; the entry point of `dure`."""
    cli(prog_name="dure")


if __name__ == "__main__":
    main()
