"""Requests for a training as gRPC has them: what they say, checked, in the words of recipes and data sets."""

from pathlib import Path
from typing import Any

from dure.bib import train_pb2 as pb
from dure.bib.data_set import Examples, TaggedTokens, labelled, tagged
from dure.bib.encoders import encoder_folder
from dure.dataset.example import Span
from dure.errors import ValidationError
from dure.learning.recipe import Recipe

TrainRequest = pb.TrainTextClassificationModelRequest | pb.TrainNamedEntityRecognitionModelRequest


def recipe_of(request: TrainRequest, encoders: Path | None) -> Recipe:
    """Return how a model is to be trained.

    Args:
        request: What was asked for.
        encoders: The folder in which encoders are looked for; None: there are none.

    Raises:
        ValidationError: A value makes no sense; names it.
        ModelNotFound: There is no such encoder.
    """
    task = "tc" if isinstance(request, pb.TrainTextClassificationModelRequest) else "ner"
    values: dict[str, Any] = {"task": task}
    for name in ("epochs", "train_rate"):
        if request.HasField(name):
            values[name] = getattr(request, name)
    options = request.options
    for field, value in options.ListFields():
        values[field.name] = value
    if options.encoder:
        values["encoder"] = str(encoder_folder(options.encoder, encoders))
    return Recipe.from_dict(values)


def examples_of(request: TrainRequest) -> Examples:
    """Return the data set of a request.

    Raises:
        ValidationError: Nothing can be learnt from it, or a row cannot be read; says which.
    """
    if isinstance(request, pb.TrainTextClassificationModelRequest):
        return labelled((row.text, row.label) for row in request.data_set)
    return tagged(_tagged_row(row, number) for number, row in enumerate(request.data_set))


def _tagged_row(row: pb.TaggedRow, number: int) -> "tuple[str, list[Span]] | TaggedTokens":
    if not row.tokens and not row.tags:
        return row.text, [Span(span.start, span.end, span.type) for span in row.entities]
    if row.text or row.entities:
        raise ValidationError(
            f"data_set[{number}]: give a text with entities, or tokens with tags; this row has some of both"
        )
    joiner = row.joiner if row.HasField("joiner") else " "
    return TaggedTokens(list(row.tokens), list(row.tags), joiner)
