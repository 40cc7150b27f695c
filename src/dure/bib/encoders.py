"""Encoders that a request may name: folders inside of one folder of the server, and nothing else on its disk."""

from pathlib import Path

from dure.errors import ModelNotFound, ValidationError
from dure.store.naming import checked_name


def encoder_folder(name: str, encoders: Path | None) -> Path:
    """Return the folder of an encoder.

    Args:
        name: Of the encoder.
        encoders: Where they are; None: requests may name none.

    Raises:
        ValidationError: Requests may name none, or this cannot be a name.
        ModelNotFound: There is no such encoder; lists those there are.
    """
    if encoders is None:
        raise ValidationError(
            f"encoder: {name!r:.80} is asked for, but this server has no folder of encoders; start it with one"
            " (--encoders), or train a small model from nothing"
        )
    folder = encoders / checked_name(name, "encoder")
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in encoders.iterdir() if path.is_dir())) or "none"
        raise ModelNotFound(f"encoder: there is no {name!r} on this server. There are: {there}")
    return folder
