"""What a worker is told over its private pipe when it starts.

Written by the process that starts it, read by `__main__.py`.
"""

import msgspec

from dure.device.context import Context
from dure.spec import BatchSpec

ALIVE = "alive"
"""What a worker is asked to see whether it is there; it answers with the same word."""


class Hosted(msgspec.Struct, frozen=True, kw_only=True):
    """One Executor; `uses` and `uses_with` are pickled, since only the worker may be able to import them."""

    name: str
    uses: bytes
    uses_with: bytes
    uses_requests: dict[str, str]
    py_modules: list[str]
    batching: BatchSpec | None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told to do.

    It hosts one Executor, or several that take their documents from each other. `device` is what constructors are told,
    `context` is the same place as the starting process counts its devices. Without a `sys_path` it finds modules where
    its own Python says.
    """

    sys_path: list[str]
    name: str
    replica: int
    replicas: int
    hosted: list[Hosted]
    device: str | None
    context: Context | None
    concurrency: int
    cache_size: int
    address: str
