"""Data sets: rows become examples or are refused by their number, and come back from disk as they were."""

from pathlib import Path

import pytest

from dure.bib.data_set import TaggedTokens, encoded, labelled, read, tagged
from dure.dataset.dataset import digest_of
from dure.dataset.example import LabelledText, Span, TaggedText
from dure.errors import DecodeError, ValidationError


def test_labelled_rows() -> None:
    assert labelled([("비 \u2028온다", " rain "), ("soup", "food")]) == [
        LabelledText("비 \u2028온다", "rain"),
        LabelledText("soup", "food"),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [(("x", ""), r"data_set\[1\] has no label"), (("x", " "), "no label"), (("\t", "a"), r"data_set\[1\] has no text")],
)
def test_rows_that_miss_something(row: tuple[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        labelled([("y", "b"), row])
    with pytest.raises(ValidationError, match="and 2 more rows"):
        labelled([("y", "b"), row, row, row])


def test_tagged_rows_of_both_forms() -> None:
    rows: list[tuple[str, list[Span]] | TaggedTokens] = [
        ("Kim 🙂 서울", [Span(6, 8, "LC"), Span(0, 3, "PS")]),
        TaggedTokens(["Kim", "in", "서울"], ["B-PS", "O", "B-LC"]),
        TaggedTokens(list("서울에"), ["B-LC", "I-LC", "O"], ""),
    ]
    assert tagged(rows) == [
        TaggedText("Kim 🙂 서울", (Span(0, 3, "PS"), Span(6, 8, "LC"))),
        TaggedText("Kim in 서울", (Span(0, 3, "PS"), Span(7, 9, "LC"))),
        TaggedText("서울에", (Span(0, 2, "LC"),)),
    ]


def test_spans_that_cannot_be_are_told_with_their_row() -> None:
    with pytest.raises(ValidationError, match=r"data_set\[1\]: .*does not lie in its text"):
        tagged([("Kim", [Span(0, 3, "PS")]), ("Kim", [Span(2, 4, "PS")])])


@pytest.mark.parametrize("task", ["tc", "ner"])
def test_what_is_kept_comes_back(tmp_path: Path, task: str) -> None:
    examples = (
        labelled([("a\nb\r\u0085\u2028c", "x"), ("😀", "y")]) if task == "tc" else tagged([("Kim", [Span(0, 3, "P")])])
    )
    rows, digest = encoded(examples)
    assert digest == digest_of(examples)
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    assert read(path, task) == examples
    path.write_bytes(b"{\n")
    with pytest.raises(DecodeError, match="is damaged"):
        read(path, task)
