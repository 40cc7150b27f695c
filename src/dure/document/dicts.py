"""Tags and scores: what the two dicts of a document may hold.

Tags hold plain values, scores numbers by name. Knows nothing of documents otherwise.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dure.document import plain
from dure.errors import ValidationError

_NUMBERS = frozenset((int, float))


def read(value: Any, name: str, at: str) -> dict[str, Any]:
    """Return tags or scores that were read from JSON, if they can be written again in every form.

    Args:
        value: What JSON held.
        name: Which of the two it is.
        at: Where it stands, for messages.

    Raises:
        ValidationError: No object, scores that are no numbers, or what others could not write (`plain.check_read`).
    """
    if not isinstance(value, dict):
        raise ValidationError(f"{at} must be an object, not {value!r:.80}")
    if name == "scores" and not _NUMBERS.issuperset(map(type, value.values())):
        raise ValidationError(f"{at} must be numbers by name, not {value!r:.80}")
    plain.check_read(value, at)
    return value


def check_column(rows: Iterable[dict[str, Any] | None], name: str) -> None:
    """Refuse what would arrive as something else, in the tags or scores of documents.

    Raises:
        ValidationError: No dict, or a value that it may not hold; the message has document and path.
    """
    for i, row in enumerate(rows):
        if row is not None and not isinstance(row, dict):
            raise ValidationError(f"{name} of document {i} must be a dict, not {row!r:.80}")
    filled = [row for row in rows if row]
    keys = {type(key) for row in filled for key in row}
    kinds = {type(value) for row in filled for value in row.values()}
    if keys <= {str} and kinds <= (_NUMBERS if name == "scores" else plain.SCALARS):
        return
    for i, row in enumerate(rows):
        check(row or {}, name, f"{name} of document {i}")


def check(value: dict[str, Any], name: str, at: str) -> None:
    """Refuse what would arrive as something else, in the tags or scores of one document.

    Raises:
        ValidationError: A value that it may not hold; the message has its path.
    """
    plain.check(value, at)
    if name == "scores":
        for key, score in value.items():
            if type(score) not in _NUMBERS and not (isinstance(score, np.generic) and score.dtype.kind in "iuf"):
                raise ValidationError(f"{at}[{key!r:.60}] must be a number, not {score!r:.60}")
