"""Whatever a file holds, it is read or refused with a sentence; what is read can be written and read again."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.dataset.dataset import Task, digest_of
from dure.dataset.example import LabelledText, Span, TaggedText, ordered
from dure.dataset.jsonlines import write_jsonl
from dure.dataset.reading import FORMATS, Format, read_examples
from dure.dataset.report import report
from dure.dataset.split import split
from dure.dataset.tags import spans_of, tags_of
from dure.errors import DureError

SIGNS = ["\t", "\n", "\r\n", '"', ",", " ", "{", "}", "[", "]", "## ", "#", "\x00", "🙂"]
WORDS = ["a", "가", "B-X", "I-X", "O", "text", "label", "null", '"tokens": ["a"]']
OBJECTS = ['{"text": "a", "label": "b"}', '{"text": "a", "entities": [[0, 1, "X"]]}']
PIECES = st.sampled_from([*SIGNS, *WORDS, *OBJECTS])
SOME_TEXT = st.lists(PIECES, max_size=40).map("".join)
WAYS = [(task, way) for task, ways in FORMATS.items() for way in ways if way != "parquet"]

FILES = st.one_of(SOME_TEXT.map(str.encode), SOME_TEXT.map(lambda text: text.encode("utf-16")), st.binary(max_size=99))
TEXTS = st.text(st.sampled_from("ab0é가🙂\u2028\r\n\t\x85\"'\\,"), min_size=1, max_size=20)


def read(content: bytes, task: Task, way: Format) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(content)
        found = read_examples(path, task, format=way)
        assert found.examples
        for row in found.examples:
            assert row.text.strip()
            if isinstance(row, TaggedText):
                assert ordered(row.text, row.entities) == row.entities
        report(found.examples, (), found.problems).text()


@pytest.mark.parametrize(("task", "way"), WAYS)
@settings(max_examples=60)
@given(content=FILES)
def test_any_file_is_read_or_refused(task: Task, way: Format, content: bytes) -> None:
    with contextlib.suppress(DureError):
        read(content, task, way)


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_labelled_texts_come_back(rows: list[tuple[str, str]]) -> None:
    examples = [LabelledText(text, label.strip()) for text, label in rows if text.strip() and label.strip()]
    if not examples:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write_jsonl(examples, path)
        found = read_examples(path, "tc")
    assert list(found.examples) == examples
    assert found.digest == digest_of(examples)


@given(
    tokens=st.lists(st.text("ab가🙂", min_size=1, max_size=3), min_size=1, max_size=12),
    marks=st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "S-X", "E-X"]), min_size=12, max_size=12),
    joiner=st.sampled_from(["", " "]),
)
def test_tags_and_entities_mean_the_same(tokens: list[str], marks: list[str], joiner: str) -> None:
    text, spans, _ = spans_of(tokens, marks[: len(tokens)], joiner)
    assert text == joiner.join(tokens)
    assert ordered(text, spans) == spans
    again = tags_of(tokens, spans, joiner)
    assert spans_of(tokens, again, joiner) == (text, spans, [])


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=4, max_size=60),
    rate=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
)
def test_a_split_keeps_every_row_once(labels: list[str], rate: float, seed: int) -> None:
    examples = [LabelledText(f"text {number % 40}", label, id=str(number)) for number, label in enumerate(labels)]
    try:
        train, validation = split(examples, rate, seed)
    except DureError:
        return
    assert sorted(row.id for row in train + validation) == sorted(row.id for row in examples)
    assert {row.text for row in train}.isdisjoint(row.text for row in validation)
    assert len(validation) <= round(len(examples) * (1 - rate))


def test_spans_of_one_text_do_not_depend_on_their_order() -> None:
    assert ordered("abc", [Span(1, 2, "X"), Span(0, 1, "Y")]) == (Span(0, 1, "Y"), Span(1, 2, "X"))
