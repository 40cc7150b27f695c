"""`dure keys`: make, list and revoke the API keys of a file that a gateway reads.

Knows how a key is asked for; what a key is, dure.gateway.keys knows. A key is printed once and kept nowhere.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from dure.cli.options import given, spec_options
from dure.gateway.limits import Limits

_FILE = click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file of keys."
)
_SCOPES = ("infer", "train", "admin", "metrics")


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@_FILE
@click.option("--name", required=True, help="Whose key it is.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=("infer",),
    help="What it is good for.  [default: infer]  [repeatable]",
)
@click.option("--expires-days", type=click.FloatRange(min=0), help="Days for which it is good; for ever if not given.")
@click.option(
    "--weight",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    default=1.0,
    show_default=True,
    help="Its share where several clients wait.",
)
@click.option("--max-priority", type=int, default=0, show_default=True, help="Highest priority of its requests.")
@spec_options(Limits)
def add(path: Path, expires_days: float | None, **settings: Any) -> None:
    """Make a key, and print it: this once."""
    from dure.gateway import keys as file

    now = datetime.now(UTC)
    limits = Limits(**given(Limits, settings))

    def key(name: str, salt: str, digest: str) -> file.Key:
        return file.Key(
            id=name,
            salt=salt,
            hash=digest,
            name=settings["name"],
            scopes=[file.Scope(scope) for scope in dict.fromkeys(settings["scopes"])],
            weight=settings["weight"],
            max_priority=settings["max_priority"],
            limits=limits,
            made_at=now,
            expires_at=None if expires_days is None else now + timedelta(days=expires_days),
        )

    made = file.add(path, key)
    click.echo("This key is shown once; only its hash is kept.", err=True)
    click.echo(made)


@keys.command("list")
@_FILE
def list_keys(path: Path) -> None:
    """List the keys, without their secrets."""
    from dure.gateway import keys as file

    for key in file.read(path):
        limits = " ".join(f"{name}={value:g}" for name, value in _said(key.limits).items())
        until = "" if key.expires_at is None else f" until {key.expires_at:%Y-%m-%d %H:%M} UTC"
        scopes = ",".join(key.scopes)
        click.echo(f"{key.id}  {key.state:<8} {key.name}  {scopes}{until}  {limits}".rstrip())


@keys.command()
@_FILE
@click.argument("which", metavar="ID|NAME")
def revoke(path: Path, which: str) -> None:
    """Revoke a key by its id, or all of a name: from the next second on it is refused."""
    from dure.gateway import keys as file

    for key in file.revoke(path, which):
        click.echo(f"{key.id} of {key.name} is revoked")


def _said(limits: Limits) -> dict[str, float]:
    values = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}
