"""What models and aliases may be called, and how a version is written: `m`, `m@3`, `m@prod`.

The one place of these rules. Knows nothing of what is there.
"""

import re
import unicodedata
from dataclasses import dataclass

from dure.errors import ValidationError

_MAX_CHARACTERS = 64  # of up to 3 bytes each in UTF-8: a name fits into a file name's 255 bytes
_NAME = re.compile(r"\w[\w.-]*")
_RULE = (
    f"a name has 1 to {_MAX_CHARACTERS} letters (of any script), digits, '.', '_' and '-', and begins with"
    " neither '.' nor '-'"
)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """What was written to name a version.

    Args:
        name: Of the model.
        number: Of the version, from 1; None if it is not named by its number.
        alias: What it goes by; empty if it is not named by an alias. Without either the newest is meant.
    """

    name: str
    number: int | None = None
    alias: str = ""


def checked_name(name: object, what: str = "model_name") -> str:
    """Return the name of a model, its letters composed (NFC), so that one name is one folder on every system.

    Raises:
        ValidationError: It cannot be a name.
    """
    if not isinstance(name, str):
        raise ValidationError(f"{what}: a text is needed, not {name!r:.60}; {_RULE}")
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name) or len(name) > _MAX_CHARACTERS:
        raise ValidationError(f"{what}: {name!r:.80} cannot be a name: {_RULE}")
    return name


def checked_alias(alias: object) -> str:
    """Return an alias.

    Raises:
        ValidationError: It cannot be one: a number would be taken for a version.
    """
    name = checked_name(alias, "alias")
    if name.isdigit():
        raise ValidationError(
            f"alias: {name!r} would be taken for the number of a version; use a letter, as in 'v{name}'"
        )
    return name


def parse_reference(text: object) -> ModelReference:
    """Read `m`, `m@3` or `m@prod`.

    Raises:
        ValidationError: It is none of these.
    """
    if not isinstance(text, str):
        raise ValidationError(f"model: a text such as 'm', 'm@3' or 'm@prod' is needed, not {text!r:.60}")
    name, at, which = text.partition("@")
    name = checked_name(name, "model")
    if not at:
        return ModelReference(name)
    if which.isascii() and which.isdigit() and 0 < int(which) < 10**9:
        return ModelReference(name, number=int(which))
    return ModelReference(name, alias=checked_alias(which))
