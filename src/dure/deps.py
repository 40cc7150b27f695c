"""Optional libraries: import one where it is used, or say which extra brings it.

Knows the names of the extras; does not know who uses them.
"""

import importlib
from typing import Any

from dure.errors import MissingDependency


def require(module: str, extra: str) -> Any:
    """Import `module`, or raise an error that names the extra to install.

    Raises:
        MissingDependency: The library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the library is there; something that it needs itself is broken
        raise MissingDependency(
            f"{module} is not installed. It comes with an extra: pip install 'dure[{extra}]'"
        ) from error
