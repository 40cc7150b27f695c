"""How a device's memory is spoken of: the error that names what was needed and what is free."""

from dure.device.context import Context
from dure.errors import DeviceOutOfMemory


def out_of_memory(
    context: Context, need_bytes: int | None, free_bytes: int | None, total_bytes: int | None
) -> DeviceOutOfMemory:
    """Return the error that says that `need_bytes` do not fit on `context`; `None` is not known."""
    total = "" if total_bytes is None else f" of {total_bytes:,}"
    return DeviceOutOfMemory(
        f"{context} is out of memory: {_told(need_bytes)} bytes are needed, {_told(free_bytes)}{total} are free."
        " Free arrays that are no longer used, or work on smaller ones."
    )


def _told(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes:,}"
