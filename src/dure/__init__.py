"""dure: build, serve and train Executors on any device.

The public names, each imported when it is first used, so that `import dure` costs milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dure.client.async_client import AsyncClient
    from dure.client.client import Client
    from dure.device import nd, nn
    from dure.device.context import Context, cpu, gpu
    from dure.device.transfer import no_transfers, transfers
    from dure.document.array import DocumentArray
    from dure.document.document import Document
    from dure.executor.base import Executor
    from dure.executor.endpoints import batching, requests
    from dure.flow.flow import Flow

__version__ = "0.1.0"

_HOME = {
    "AsyncClient": "dure.client.async_client",
    "Client": "dure.client.client",
    "Context": "dure.device.context",
    "Document": "dure.document.document",
    "DocumentArray": "dure.document.array",
    "Executor": "dure.executor.base",
    "Flow": "dure.flow.flow",
    "batching": "dure.executor.endpoints",
    "cpu": "dure.device.context",
    "gpu": "dure.device.context",
    "no_transfers": "dure.device.transfer",
    "requests": "dure.executor.endpoints",
    "transfers": "dure.device.transfer",
}
_MODULES = {"nd": "dure.device.nd", "nn": "dure.device.nn"}

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "Document",
    "DocumentArray",
    "Executor",
    "Flow",
    "batching",
    "cpu",
    "gpu",
    "nd",
    "nn",
    "no_transfers",
    "requests",
    "transfers",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use."""
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'dure' has no attribute {name!r}")
    globals()[name] = value
    return value
