"""Whether dure may ask other machines for bundles and images: not where DURE_OFFLINE is set."""

import os

from dure.errors import SpecError

VARIABLE = "DURE_OFFLINE"


def is_offline() -> bool:
    """Return whether nothing may be fetched.

    Raises:
        SpecError: The variable holds something else than 0 or 1.
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise SpecError(f"{VARIABLE}: {value!r} is neither 1 (fetch nothing) nor 0")
    return value == "1"
