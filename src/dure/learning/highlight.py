"""Texts with their entities made visible: coloured in a terminal, in brackets where there are no colours, as HTML.

Knows texts and spans; not where they are shown. Control characters are made visible: a text may not command a terminal.
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dure.dataset.example import Span
from dure.deps import require
from dure.learning.prediction import Entity

if TYPE_CHECKING:
    from rich.text import Text

# Pale colours, so that black is read on each of them.
COLOURS = ("#9fd3f5", "#ffd08a", "#a8e0b0", "#f4b6cf", "#d9c7f5", "#f2e68c", "#c9c9c9", "#b5e8e0")
_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}


def in_terminal(text: str, entities: Sequence[Span | Entity], types: Sequence[str] = ()) -> "Text":
    """Return a text for rich to print: entities on colour, with their type behind.

    Args:
        text: The text.
        entities: Its entities in order.
        types: All types there are, so that one type has one colour in all texts; those of `entities` by default.
    """
    made: Text = require("rich.text", "dure").Text()
    for part, entity in _parts(text, entities):
        if entity is None:
            made.append(part)
        else:
            style = f"black on {_colour(entity.type, entities, types)}"
            made.append(part, style=style)
            made.append(f" {_safe(entity.type)} ", style=f"bold {style}")
    return made


def in_brackets(text: str, entities: Sequence[Span | Entity]) -> str:
    """Return a text with its entities as `[Ada Lovelace PER]`."""
    parts = _parts(text, entities)
    return "".join(part if entity is None else f"[{part} {_safe(entity.type)}]" for part, entity in parts)


def in_html(text: str, entities: Sequence[Span | Entity], types: Sequence[str] = ()) -> str:
    """Return a text as HTML, every entity a `<mark>` with its type. What the text holds is escaped.

    Args:
        text: The text.
        entities: Its entities in order.
        types: All types there are, so that one type has one colour in all texts; those of `entities` by default.
    """
    made = []
    for part, entity in _parts(text, entities):
        if entity is None:
            made.append(html.escape(part))
        else:
            colour = _colour(entity.type, entities, types)
            sure = f' title="{entity.score:.2f}"' if isinstance(entity, Entity) else ""
            kind = html.escape(_safe(entity.type))
            made.append(f'<mark style="background:{colour}"{sure}>{html.escape(part)}<small> {kind}</small></mark>')
    return "".join(made)


def _parts(text: str, entities: Sequence[Span | Entity]) -> list[tuple[str, Span | Entity | None]]:
    """Return the text in pieces, each with the entity that it is, or None."""
    parts: list[tuple[str, Span | Entity | None]] = []
    at = 0
    for entity in entities:
        parts += [(_safe(text[at : entity.start]), None), (_safe(text[entity.start : entity.end]), entity)]
        at = entity.end
    return [*parts, (_safe(text[at:]), None)]


def _safe(text: str) -> str:
    return text.translate(_CONTROLS)


def _colour(kind: str, entities: Sequence[Span | Entity], types: Sequence[str]) -> str:
    known = sorted({*types} or {entity.type for entity in entities})
    return COLOURS[known.index(kind) % len(COLOURS)] if kind in known else COLOURS[-1]
