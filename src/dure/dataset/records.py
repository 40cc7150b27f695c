"""Rows that come as named values: the objects of JSON lines, or the rows of a Parquet file.

Classified texts as `text` and `label`; sentences as `text` and `entities`, or as `tokens` and `tags`. Knows no files.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dure.dataset.columns import ID, LABEL, TEXT, Wanted
from dure.dataset.example import Span, TaggedText, ordered
from dure.dataset.problems import Problem, told
from dure.dataset.rows import Row
from dure.dataset.tags import scheme_of, spans_of
from dure.errors import SpecError, ValidationError

ENTITIES = ("entities", "label", "labels", "spans")
TOKENS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "labels", "label")

Record = tuple[int, Mapping[str, Any]]
"""The line of a row, and its values by name."""


def labelled_rows(records: Iterable[Record], wanted: Wanted, name: str) -> list[Row]:
    """Return rows of classified texts.

    Raises:
        SpecError: A name that no row has.
        ValidationError: No row has a text, or none a label, under a name that is known.
    """
    records = list(records)
    text, label = _key(records, wanted.text, TEXT, "text", name), _key(records, wanted.label, LABEL, "label", name)
    identity = next((key for key in ID if any(key in values for _, values in records) and key not in (text, label)), "")
    return [Row(values.get(text), values.get(label), values.get(identity, ""), line) for line, values in records]


def tagged_rows(records: Iterable[Record], wanted: Wanted, name: str) -> tuple[list[TaggedText], list[Problem]]:
    """Return sentences with their entities, and what of their tags had to be repaired.

    Raises:
        SpecError: A name that no row has.
        ValidationError: A sentence with entities that cannot be, or with other than one tag for each token.
    """
    records = list(records)
    tokenised = [any(key in values for key in TOKENS) and wanted.text is None for _, values in records]
    if all(tokenised):
        return _from_tokens(records, wanted, name)
    if any(tokenised):
        lines = [line for (line, _), is_tokenised in zip(records, tokenised, strict=True) if is_tokenised]
        raise ValidationError(f"{name}: {told(lines)}: tokens, where other rows have text; a file has one of the two")
    text, spans = _key(records, wanted.text, TEXT, "text", name), _key(records, wanted.label, ENTITIES, "label", name)
    examples = []
    for line, values in records:
        at = f"{name}: line {line:,}"
        sentence = values.get(text) or ""
        if not isinstance(sentence, str):
            raise ValidationError(f"{at}: the text is of type {type(sentence).__name__}, not a string")
        try:
            entities = ordered(sentence, (_span(value) for value in values.get(spans) or ()))
        except ValidationError as error:
            raise ValidationError(f"{at}: {error}") from error
        examples.append(TaggedText(sentence, entities, _id(values), line))
    return examples, []


def _from_tokens(records: list[Record], wanted: Wanted, name: str) -> tuple[list[TaggedText], list[Problem]]:
    tokens, tags = _key(records, None, TOKENS, "text", name), _key(records, wanted.label, TAGS, "label", name)
    sentences = [(line, _texts(values, tokens), _texts(values, tags), _id(values)) for line, values in records]
    examples, problems = [], []
    scheme = scheme_of(found for _, _, found, _ in sentences)
    for line, words, found, identity in sentences:
        try:
            text, spans, repaired = spans_of(words, found, scheme=scheme, lines=[line] * len(words))
        except ValidationError as error:
            raise ValidationError(f"{name}: line {line:,}: {error}") from error
        problems += repaired
        examples.append(TaggedText(text, spans, identity, line))
    return examples, problems


def _key(records: Sequence[Record], wanted: str | None, known: Sequence[str], what: str, name: str) -> str:
    names = sorted({key for _, values in records for key in values})
    if wanted is not None:
        if wanted not in names:
            raise SpecError(f"{what}_column: no row has {wanted!r}; there are {', '.join(map(repr, names))}")
        return wanted
    found = next((key for key in known if key in names), None)
    if found is None:
        raise ValidationError(
            f"{name}: no row says its {what}; there are {', '.join(map(repr, names)) or 'no rows'}."
            f" Name it {known[0]!r}, or say {what}_column"
        )
    return found


def _span(value: Any) -> Span:
    """Return an entity as `{"start": 0, "end": 3, "type": "PER"}` or `[0, 3, "PER"]` says it.

    Raises:
        ValidationError: Neither of the two.
    """
    parts = value
    if isinstance(value, Mapping):
        parts = [value.get("start"), value.get("end"), value.get("type") or value.get("label")]
    if isinstance(parts, Sequence) and len(parts) == 3:
        start, end, kind = parts
        if isinstance(start, int) and isinstance(end, int) and isinstance(kind, str):
            return Span(start, end, kind)
    raise ValidationError('an entity is {"start": 0, "end": 3, "type": "PER"} or [0, 3, "PER"]; one is neither')


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    return [str(value) for value in values.get(key) or ()]


def _id(values: Mapping[str, Any]) -> str:
    return next((str(values[key]) for key in ID if values.get(key) is not None), "")
