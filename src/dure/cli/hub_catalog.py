"""`dure hub list|search|inspect`: what a registry holds, as text for people or as JSON.

Knows how it is shown; what there is, dure.hub finds out.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dure.cli.hub_exchange import KEY, printable, reference_of, size

if TYPE_CHECKING:
    from dure.hub.catalog import Listed
    from dure.hub.inspection import Inspection

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REGISTRY = click.option(
    "--registry", metavar="HOST[:PORT][/NAMESPACE]", help="The registry to ask.  [default: the one of DURE_HUB]"
)


@click.command("list")
@click.argument("reference", required=False)
@_REGISTRY
@_JSON
def list_all(reference: str | None, registry: str | None, as_json: bool) -> None:
    """List the Executors of a registry; or the tags of one, REFERENCE."""
    from dure.hub import catalog

    if reference is not None:
        if registry is not None:
            raise click.UsageError("--registry lists a whole one; of one name, write hub://HOST/NAME.")
        found = catalog.list_tags(reference_of(reference))
    else:
        found = catalog.list_executors(_hub(registry))
    _show(found, as_json, heads=("NAME", "KIND", "TAGS"))


@click.command()
@click.argument("words", nargs=-1, required=True)
@_REGISTRY
@_JSON
def search(words: tuple[str, ...], registry: str | None, as_json: bool) -> None:
    """Find Executors that have all WORDS in their names, descriptions or keywords."""
    from dure.hub import catalog

    _show(catalog.search(_hub(registry), " ".join(words)), as_json, heads=("NAME", "KIND", "TAGS", "DESCRIPTION"))


@click.command()
@click.argument("reference")
@KEY
@_JSON
def inspect(reference: str, key: Path | None, as_json: bool) -> None:
    """Show what is known of REFERENCE before it is used: nothing of it is run."""
    from dure.hub import inspection

    found = inspection.inspect(reference_of(reference), key=key)
    if as_json:
        _print_json(found)
        return
    click.echo(printable(_told(found)))


def _told(found: "Inspection") -> str:
    lines = [found.reference, f"{found.digest}", f"{found.kind}, {size(found.size_bytes)} to fetch", found.signature]
    if found.tags:
        lines.append(f"tags: {', '.join(found.tags)}")
    if found.cache:
        lines.append(f"in the cache: {found.cache}")
    bundle = found.bundle
    if bundle is None:
        lines += [f"{name}: {value}" for name, value in sorted(found.annotations.items())]
        return "\n".join(lines)
    lines.append(f"{bundle.num_files} files, {size(bundle.unpacked_bytes)}, packed by dure {bundle.dure}")
    for name, text in (("config.yml", bundle.config_yml), ("manifest.yml", bundle.manifest_yml)):
        if text:
            lines.append(f"\n{name}:\n" + "\n".join(f"  {line}" for line in text.splitlines()))
    return "\n".join(lines)


def _show(found: "list[Listed]", as_json: bool, heads: tuple[str, ...]) -> None:
    if as_json:
        _print_json(found)
        return
    rows = [heads, *((one.name, one.kind, ", ".join(one.tags), one.description)[: len(heads)] for one in found)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(printable(line.replace("\n", " ")).rstrip())


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _hub(registry: str | None) -> str:
    return os.environ.get("DURE_HUB", "") if registry is None else registry
