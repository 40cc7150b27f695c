"""Requests as JSON: a template with a place for the texts, or the Open Inference Protocol's form.

Pure. Source of the protocol: the KServe project's "Open Inference Protocol V2", its JSON over HTTP.
"""

import json
from collections.abc import Sequence
from typing import Any

from dure.errors import SpecError

PLACE = "{text}"
DEFAULT = '{"texts": ["{text}"]}'


def filled(template: str, texts: Sequence[str]) -> bytes:
    """Put texts into a template.

    Args:
        template: JSON. An element of a list in which `{text}` stands is repeated for each text; elsewhere `{text}`
            becomes the text, of which there can then be but one.
        texts: Those of one request.

    Raises:
        SpecError: It is not JSON, has no place for a text, or one place for several.
    """
    try:
        value = json.loads(template)
    except ValueError as error:
        raise SpecError(f"body: {template!r} is not JSON: {error}") from error
    if not _has_place(value):
        raise SpecError(f"body: {template!r} has no {PLACE} where a text could stand")
    return json.dumps(_fill(value, texts), ensure_ascii=False).encode()


def inference(name: str, texts: Sequence[str], dimensions: int = 1) -> bytes:
    """Return a request of the Open Inference Protocol with one input of type BYTES.

    Args:
        name: The input's.
        texts: Its elements.
        dimensions: 1 for the shape `[texts]`, 2 for `[texts, 1]`.
    """
    shape = [len(texts)] + [1] * (dimensions - 1)
    tensor = {"name": name, "shape": shape, "datatype": "BYTES", "data": list(texts)}
    return json.dumps({"inputs": [tensor]}, ensure_ascii=False).encode()


def text_input(metadata: bytes, where: str) -> tuple[str, int]:
    """Return the name of a model's input for texts and how many dimensions it has, out of the model's metadata.

    Raises:
        SpecError: There is no input of type BYTES, or more inputs than that.
    """
    try:
        inputs = json.loads(metadata)["inputs"]
        found = [(str(one["name"]), max(1, len(one["shape"]))) for one in inputs if one["datatype"] == "BYTES"]
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(f"target: {where} answers with something that is not a model's metadata: {error!r}") from error
    if len(found) != 1 or len(inputs) != 1:
        told = ", ".join(f"{one['name']} ({one['datatype']})" for one in inputs) or "none"
        raise SpecError(f"target: {where} must have one input, of type BYTES, to be sent texts; it has: {told}")
    return found[0]


def _has_place(value: Any) -> bool:
    match value:
        case str():
            return PLACE in value
        case list():
            return any(map(_has_place, value))
        case dict():
            return any(map(_has_place, value.values()))
    return False


def _fill(value: Any, texts: Sequence[str]) -> Any:
    match value:
        case str() if PLACE in value:
            if len(texts) != 1:
                raise SpecError(
                    f"body: {PLACE} stands outside of a list, and so has place for one text, not {len(texts)}"
                )
            return value.replace(PLACE, texts[0])
        case list():
            return [
                filled
                for one in value
                for filled in ([_fill(one, [text]) for text in texts] if _has_place(one) else [one])
            ]
        case dict():
            return {name: _fill(one, texts) for name, one in value.items()}
    return value
