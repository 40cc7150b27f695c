"""What a worker is told over its private pipe when it starts.

Written by the process that starts it, read by `__main__.py`.
"""

import msgspec

from dure.device.context import Context
from dure.spec import BatchSpec


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told to do.

    `uses` and `uses_with` are pickled, since only the worker may be able to import them. `device` is what the
    constructor is told, `context` is the same place as the starting process counts its devices.
    """

    sys_path: list[str]
    name: str
    replica: int
    replicas: int
    uses: bytes
    uses_with: bytes
    uses_requests: dict[str, str]
    py_modules: list[str]
    device: str | None
    context: Context | None
    batching: BatchSpec | None
    concurrency: int
    address: str
