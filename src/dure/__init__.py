"""dure: build, serve and train Executors on any device.

The public names, each imported when it is first used, so that `import dure` costs milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dure.client.async_client import AsyncClient
    from dure.client.client import Client
    from dure.document.array import DocumentArray
    from dure.document.document import Document
    from dure.executor.base import Executor
    from dure.executor.endpoints import batching, requests
    from dure.flow.flow import Flow

__version__ = "0.1.0"

_HOME = {
    "AsyncClient": "dure.client.async_client",
    "Client": "dure.client.client",
    "Document": "dure.document.document",
    "DocumentArray": "dure.document.array",
    "Executor": "dure.executor.base",
    "Flow": "dure.flow.flow",
    "batching": "dure.executor.endpoints",
    "requests": "dure.executor.endpoints",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Document",
    "DocumentArray",
    "Executor",
    "Flow",
    "batching",
    "requests",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'dure' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
