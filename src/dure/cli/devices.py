"""`dure devices`: what this machine can compute on, as a table or as JSON.

Knows how devices are shown; dure.device.probe knows how they are found and why there may be no GPU.
"""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dure.device.probe import DeviceInfo

_HEADS = ("device", "name", "memory total", "memory free", "driver")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
def devices(as_json: bool) -> None:
    """List the devices of this machine: name, memory total and free, driver."""
    from dure.device.probe import inventory

    found = inventory()
    if as_json:
        plain = {"devices": [_plain(device) for device in found.devices], "missing": found.missing}
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    click.echo(_table([_HEADS, *(_row(device) for device in found.devices)]))
    if found.missing:
        click.echo(f"\nNo GPU: {found.missing}")


def _plain(device: "DeviceInfo") -> dict[str, Any]:
    return {
        "device": str(device.context),
        "name": device.name,
        "memory_total_bytes": device.memory_total_bytes,
        "memory_free_bytes": device.memory_free_bytes,
        "driver": device.driver,
    }


def _row(device: "DeviceInfo") -> tuple[str, ...]:
    sizes = (_gib(device.memory_total_bytes), _gib(device.memory_free_bytes))
    return (str(device.context), device.name, *sizes, device.driver)


def _gib(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 2**30:.1f} GiB"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
