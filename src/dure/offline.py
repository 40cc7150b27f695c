"""Whether dure may ask other machines for bundles and images: not where DURE_OFFLINE is set."""

import os

from dure.errors import SpecError

VARIABLE = "DURE_OFFLINE"


_MEANINGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def is_offline() -> bool:
    """Return whether nothing may be fetched.

    Raises:
        SpecError: The variable holds something that means neither.
    """
    value = os.environ.get(VARIABLE, "")
    if value.lower() not in _MEANINGS:
        raise SpecError(f"{VARIABLE}: {value!r} is neither 1 (fetch nothing) nor 0")
    return _MEANINGS[value.lower()]
