"""`dure hub push|pull|run`: Executors to and from a registry.

Knows how they are asked for and what is printed; the rest is dure.hub's.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dure.cli.options import spec_options
from dure.spec import ExecutorSpec, GatewaySpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from dure.hub.reference import Reference

KEY = click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public key (PEM) that must have signed it.  [default: the file that DURE_HUB_KEY names]",
)
_SIGN_KEY = click.option(
    "--sign-key", type=click.Path(dir_okay=False, path_type=Path), help="Private key (PEM) to sign it with."
)


@click.command()
@click.argument("what", metavar="FOLDER|NAME/TAG")
@click.option("--tag", "tags", multiple=True, help="Tag to push it under.  [default: latest]  [repeatable]")
@click.option("--name", help="[HOST/][NAMESPACE/]Name to push a folder as.  [default: the class in its config.yml]")
@click.option("--image", help="Push this image of the Docker Engine instead, as NAME/TAG.")
@_SIGN_KEY
def push(what: str, tags: tuple[str, ...], name: str | None, image: str | None, sign_key: Path | None) -> None:
    """Push a bundle's FOLDER, or with --image an image as NAME/TAG, to a registry.

    The registry is the one of DURE_HUB (host[:port][/namespace]), or stands in the name.
    """
    if image is not None:
        if tags or name:
            raise click.UsageError("--tag and --name are for folders; an image is pushed as NAME/TAG.")
        _push_image(image, what, sign_key)
        return
    from dure.hub.bundle import describe
    from dure.hub.publication import publish

    folder = Path(what)
    wanted = reference_of(name or describe(folder)["name"])
    done = publish(folder, wanted, tags=[*tags], sign_key=sign_key)
    if done.left_out:
        click.echo(f"Left out: {', '.join(done.left_out)}", err=True)
    signed = ", signed" if done.signed else ""
    click.echo(f"Pushed {done.config.num_files} files, {size(done.size)}{signed}", err=True)
    for tag in done.tags:
        click.echo(f"{str(done.reference).partition('@')[0].removesuffix(done.tags[0])}{tag}")
    click.echo(done.reference.digest)


def _push_image(image: str, what: str, sign_key: Path | None) -> None:
    from dure.hub.image_transfer import push_image

    reference = reference_of(what, scheme="hub+docker")
    line = say()
    digest = push_image(image, reference, sign_key=sign_key, say=line)
    line("")
    click.echo(str(reference.resolved()))
    click.echo(digest)


@click.command()
@click.argument("reference")
@KEY
def pull(reference: str, key: Path | None) -> None:
    """Fetch REFERENCE from its registry, though the cache may have it: hub://Name:tag, or hub+docker://Name/tag.

    Prints the folder of a bundle, or the name of an image, and the digest.
    """
    known, line = reference_of(reference), say()
    if known.is_image:
        from dure.hub.image_transfer import pull_image

        what, digest = pull_image(known, key=key, say=line)
    else:
        from dure.hub.retrieval import retrieve

        entry = retrieve(known, key=key, refresh=True, progress=_come(line))
        what, digest = str(entry.folder), entry.digest
    line("")
    click.echo(what)
    click.echo(digest)


@click.command()
@click.argument("reference")
@KEY
@spec_options(ExecutorSpec, skip=("uses", "needs"))
@spec_options(GatewaySpec)
@click.pass_context
def run(context: click.Context, /, reference: str, key: Path | None, **settings: Any) -> None:
    """Serve REFERENCE until Ctrl-C, as `dure executor up` does: out of the cache, else fetched first."""
    from dure.cli.executor import up

    if key is not None:
        os.environ["DURE_HUB_KEY"] = str(key)  # where a Flow looks for it, and its processes after it
    context.invoke(up, uses=str(reference_of(reference)), **settings)


def reference_of(text: str, *, scheme: str = "hub") -> "Reference":
    """Read what a person wrote; `hub://` may be left out."""
    from dure.hub.reference import parse_reference

    return parse_reference(text if "://" in text else f"{scheme}://{text}")


def size(num_bytes: int) -> str:
    """Return bytes for people."""
    value, unit = float(num_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{num_bytes} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def say() -> "Callable[[str], None]":
    """Return what prints progress: in one line of a terminal, which an empty text clears; elsewhere without bars."""
    terminal = sys.stderr.isatty()
    last = ""

    def line(text: str) -> None:
        nonlocal last
        plain = printable(text)
        if terminal:
            click.echo(f"\r\x1b[K{plain[:100]}", nl=False, err=True)
        elif plain and plain != last and "[" not in plain:
            last = plain
            click.echo(plain, err=True)

    return line


def _come(line: "Callable[[str], None]") -> "Callable[[int, int], None]":
    def come(done: int, total: int) -> None:
        line(f"[{size(done)} of {size(total)}]")

    return come


def printable(text: str) -> str:
    """Return a text without what would steer a terminal: much of what is shown was written by strangers."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)
