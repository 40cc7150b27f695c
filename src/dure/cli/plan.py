"""`dure plan`: who would run where, and why; starts nothing."""

from pathlib import Path

import click

from dure.cli.options import address_option, image_option
from dure.errors import SpecError
from dure.spec import BACKENDS

KUBERNETES = "kubernetes"


@click.command()
@click.argument("file", metavar="FLOW.yml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--backend",
    type=click.Choice([*BACKENDS, KUBERNETES]),
    default=BACKENDS[0],
    show_default=True,
    help="where the workers would run; for kubernetes, what `dure export` would write",
)
@address_option
@image_option
def plan(file: Path, backend: str, address: str | None, images: tuple[tuple[str, str], ...]) -> None:
    """Print where every replica of a Flow would run, and why; of Ray, what each asks for and what there is."""
    if backend == KUBERNETES:
        if address is not None:
            raise SpecError("--address: means nothing with --backend kubernetes; which cluster, kubectl says")
        click.echo(_of_kubernetes(file, dict(images)))
        return
    if images:
        raise SpecError("--image: means something with --backend kubernetes only")
    from dure.flow.flow import Flow

    click.echo(str(Flow.load_config(file).plan(backend, address=address)))


def _of_kubernetes(file: Path, images: dict[str, str]) -> str:
    from dure.export.kubernetes import Cluster, manifests_of
    from dure.export.plan import table_of
    from dure.export.workload import Wishes

    return table_of(manifests_of(file, Wishes(images=images), Cluster()))
