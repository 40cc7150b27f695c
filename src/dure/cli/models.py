"""`dure models list|describe|alias|delete`: the models that are kept under DURE_HOME."""

import click


@click.group()
def models() -> None:
    """See, name and delete trained models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each version.")
def list_models(as_json: bool) -> None:
    """List the models with their versions."""
    import msgspec

    from dure.store.store import ModelStore

    store = ModelStore()
    for version in (version for name in store.names() for version in store.versions(name)):
        if as_json:
            about = {"name": version.name, "version": version.number, "aliases": version.aliases}
            click.echo(msgspec.json.encode({**about, "card": version.card}))
            continue
        card = version.card
        if "damaged" in card:
            click.echo(f"{version}  {card['damaged']}")
            continue
        scores = "  ".join(f"{name} {value:.4f}" for name, value in card.get("scores", {}).items())
        aliases = "".join(f" @{alias}" for alias in version.aliases)
        size = f"{version.size_bytes / 2**20:.1f} MiB"
        click.echo(
            f"{version}{aliases}  {card.get('task')}  {card.get('kind')}  {scores}  {size}  {card.get('created')}"
        )


@models.command()
@click.argument("model")
def describe(model: str) -> None:
    """Print all that is told of MODEL (m, m@3 or m@prod), as JSON."""
    import msgspec

    from dure.store.store import ModelStore

    version = ModelStore().resolve(model)
    about = {"name": version.name, "version": version.number, "aliases": version.aliases, "folder": str(version.folder)}
    click.echo(msgspec.json.format(msgspec.json.encode({**about, **version.card}).decode()))


@models.command()
@click.argument("name")
@click.argument("alias")
@click.argument("number", metavar="VERSION", type=click.IntRange(min=1), required=False)
@click.option("--remove", is_flag=True, help="Forget the alias.")
def alias(name: str, alias: str, number: int | None, remove: bool) -> None:
    """Have NAME@ALIAS mean VERSION from now on; servers follow without being started again."""
    from dure.store.store import ModelStore

    store = ModelStore()
    if remove:
        store.unalias(name, alias)
        click.echo(f"{name}@{alias} is forgotten")
        return
    if number is None:
        raise click.UsageError("VERSION is missing: which version is the alias to mean?")
    store.alias(name, alias, number)
    click.echo(f"{name}@{alias} is {name}@{number}")


@models.command()
@click.argument("model")
@click.option("--with-aliases", is_flag=True, help="Also if an alias points at it, which goes too.")
def delete(model: str, with_aliases: bool) -> None:
    """Delete MODEL: m@3 is that version, m all of them."""
    from dure.store.store import ModelStore

    for version in ModelStore().delete(model, with_aliases=with_aliases):
        click.echo(f"{version} is deleted")
