"""Sentences with the entities in them, from a little grammar of English and Korean; no name is in two parts."""

import random

from dure.dataset.example import Span, TaggedText

_PLACES = ("Xanburg", "Mirford", "Old Tarn", "Ostville", "Kelham", "Brenport", "Norwick", "Saltford", "West Plim")
_CITIES = ("전주", "목포", "수원", "울산", "강릉", "여수", "춘천", "포항", "제천")
_FIRST = ("Ann", "Bob", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo")
_LAST = ("Marsh", "Pike", "Stone", "Wells", "Frost", "Lind", "Hale", "Voss", "Reed")
_KOREAN = ("김철수", "박영희", "최민호", "이수진", "정다운", "한지민", "오세훈", "윤하나", "강태우")

_ENGLISH = (
    "Mr {PS} moved to {LC} on {DT} .",
    "On {DT} we met {PS} in {LC} !",
    "She said that {PS} lives near {LC} .",
    "The train to {LC} left late on {DT} .",
    "Nobody moved , and the train left late .",
)
_HANGUL = (
    "{PS}씨는 {DT}에 {LC}에서 태어났다.",
    "{DT} {LC}에 비가 왔다 😀",
    "나는 {PS}씨를 {LC}에서 만났다.",
    "아무도 오지 않았다.",
)


def tagged_sentences(count: int, part: int) -> list[TaggedText]:
    """Make sentences.

    Args:
        count: How many.
        part: From 0 to 2: names of one part are in no other.
    """
    draw = random.Random(part)
    return [_filled(draw.choice(_ENGLISH if draw.random() < 0.5 else _HANGUL), draw, part) for _ in range(count)]


def _filled(pattern: str, draw: random.Random, part: int) -> TaggedText:
    is_english = pattern.isascii()
    mine = slice(3 * part, 3 * part + 3)
    names = {
        "PS": f"{draw.choice(_FIRST[mine])} {draw.choice(_LAST[mine])}" if is_english else draw.choice(_KOREAN[mine]),
        "LC": draw.choice((_PLACES if is_english else _CITIES)[mine]),
        "DT": f"{draw.randint(1, 28)} May {draw.randint(1900, 2026)}" if is_english else f"{draw.randint(1, 12)}월",
    }
    text, entities = "", []
    for piece in pattern.split("{"):
        kind, closed, rest = piece.partition("}")
        if not closed:
            text += piece
            continue
        entities.append(Span(len(text), len(text) + len(names[kind]), kind))
        text += names[kind] + rest
    return TaggedText(text, tuple(entities))
