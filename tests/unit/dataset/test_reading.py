"""Traps of real files (their numbers in comments), each as a small file of our own."""

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.dataset.dataset import Task
from dure.dataset.example import Span, TaggedText
from dure.dataset.jsonlines import write_jsonl
from dure.dataset.reading import read_examples
from dure.errors import SpecError, ValidationError
from tests.unit.dataset.contents import pairs, sentences, told

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# -- classified texts ----------------------------------------------------------------------------


def test_a_tsv_has_no_quoting(write: Write) -> None:
    # Trap 6: a CSV reader would swallow the rows between the two quotes
    path = write("reviews.txt", 'id\tdocument\tlabel\n1\t"최고\t1\n2\t별로\t1\n3\t다시"\t1\n')
    found = read_examples(path, "tc")
    assert pairs(found) == [('"최고', "1"), ("별로", "1"), ('다시"', "1")]
    assert [(row.id, row.line) for row in found.examples] == [("1", 2), ("2", 3), ("3", 4)]
    assert told(found) == []


def test_a_csv_has_quoting(write: Write) -> None:
    # Traps 4 and 6: CRLF ends rows, and a line end inside of quotes does not
    path = write("queries.csv", 'text,category\r\n"first\r\nsecond, ""third""",card\r\nplain,"a, b"\r\n')
    found = read_examples(path, "tc")
    assert pairs(found) == [('first\r\nsecond, "third"', "card"), ("plain", "a, b")]
    assert [row.line for row in found.examples] == [2, 4]


def test_a_tsv_of_a_spreadsheet_is_told_and_can_be_read(write: Write) -> None:
    # Trap 6
    path = write("sheet.tsv", 'text\tlabel\n"one ""a"""\tx\n"two"\ty\n')
    assert any("'tsv-quoted'" in line for line in told(read_examples(path, "tc")))
    assert pairs(read_examples(path, "tc", format="tsv-quoted")) == [('one "a"', "x"), ("two", "y")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(write: Write) -> None:
    # Trap 1
    path = write("a.csv", codecs.BOM_UTF8 + b"text,label\na,1\nb,2\n")
    assert pairs(read_examples(path, "tc")) == [("a", "1"), ("b", "2")]


def test_cp949_where_it_is_allowed(write: Write) -> None:
    # Trap 2
    path = write("a.tsv", "document\tlabel\n좋다\t긍정\n싫다\t부정\n".encode("cp949"))
    with pytest.raises(ValidationError, match="cp949"):
        read_examples(path, "tc")
    assert pairs(read_examples(path, "tc", encoding="cp949")) == [("좋다", "긍정"), ("싫다", "부정")]


def test_other_line_breaks_are_text(write: Write) -> None:
    # Trap 4
    for name, quote in (("a.csv", ","), ("a.tsv", "\t")):
        path = write(name, f"text{quote}label\na\u2028b\u0085c\x0c{quote}x\nd{quote}y\n")
        assert pairs(read_examples(path, "tc")) == [("a\u2028b\u0085c\x0c", "x"), ("d", "y")]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n\r\n"])
def test_however_a_file_ends(write: Write, end: str) -> None:
    # Trap 5
    for name in ("a.csv", "a.tsv"):
        cell = "," if name.endswith("csv") else "\t"
        path = write(name, f"text{cell}label\na{cell}x\nb{cell}y{end}")
        assert pairs(read_examples(path, "tc")) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("task", ["tc", "ner"])
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.conll"])
@pytest.mark.parametrize("content", ["", "\n\n", "text\tlabel\n"])
def test_an_empty_file_is_refused(write: Write, task: Task, name: str, content: str) -> None:
    # Trap 5
    with pytest.raises((ValidationError, SpecError), match=r"empty|format|not JSON|tag|cells are separated"):
        read_examples(write(name, content), task)


def test_columns_in_any_order_by_their_names(write: Write) -> None:
    # Trap 7
    path = write("a.csv", "index,Topic_Idx,title\n0,4,headline\n1,2,other\n")
    assert pairs(read_examples(path, "tc")) == [("headline", "4"), ("other", "2")]
    path = write("b.csv", "mood,words\nup,good\ndown,bad\n")
    with pytest.raises(ValidationError, match=r"both columns could be the label"):
        read_examples(path, "tc")
    assert pairs(read_examples(path, "tc", text_column="words", label_column="mood"))[0] == ("good", "up")
    with pytest.raises(SpecError, match="there is no 'word'; there are 'mood', 'words'"):
        read_examples(path, "tc", text_column="word", label_column="mood")


def test_a_file_without_names(write: Write) -> None:
    # Trap 7: label first, as in 3i4k
    path = write("a.tsv", "".join(f"{n % 2}\ttext {n}\n" for n in range(10)))
    found = read_examples(path, "tc")
    assert pairs(found)[:2] == [("text 0", "0"), ("text 1", "1")]
    assert told(found)[0].startswith("line 1: no column names; took column 2 as the text and column 1 as the label")
    assert pairs(read_examples(path, "tc", text_column="2", label_column="1")) == pairs(found)
    with pytest.raises(SpecError, match="no column 3"):
        read_examples(path, "tc", text_column="3", label_column="1")


def test_texts_are_kept_as_they_are(write: Write) -> None:
    # Traps 8, 9 and 17: decomposed Hangul, emoji, lone jamo, zero width, HTML entities, "null" and "NA"
    texts = ["각", "ㅋㅋㅋㅋㅠㅠ!!!!", "a\u200bb 🙂", "AT&amp;T 10㎞", "null", "NA", "nan", "굳", " padded "]
    path = write("a.tsv", "text\tlabel\n" + "".join(f"{text}\t{n % 2}\n" for n, text in enumerate(texts)))
    assert [text for text, _ in pairs(read_examples(path, "tc"))] == texts


def test_blank_texts_are_left_out_and_told(write: Write) -> None:
    # Trap 9
    found = read_examples(write("a.csv", "text,label\na,1\n,1\n   ,2\nb,2\n"), "tc")
    assert pairs(found) == [("a", "1"), ("b", "2")]
    assert "lines 3, 4: no text; left out" in told(found)


def test_missing_labels_are_refused_with_their_lines(write: Write) -> None:
    # Trap 10
    rows = "".join(f"text {n},{'' if n % 2 else 'x'}\n" for n in range(30))
    with pytest.raises(ValidationError, match=r"no label in lines 3, 5, .* 21 and 5 more"):
        read_examples(write("a.csv", f"text,label\n{rows}"), "tc")
    with pytest.raises(ValidationError, match="no label in line 2"):
        read_examples(write("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n'), "tc")


def test_labels_are_text(write: Write) -> None:
    # Trap 10: white space round them, types, numbers as a spreadsheet writes them
    found = read_examples(write("a.csv", "text,label\na, x \nb,x\nc,y\nd,y\n"), "tc")
    assert {label for _, label in pairs(found)} == {"x", "y"}
    assert told(found) == ["line 2: white space round the label; taken off"]
    lines = [f'{{"text": "{n}", "label": {label}}}' for n, label in enumerate(["1", '"1"', "1.0", "2", "2"])]
    found = read_examples(write("a.jsonl", "\n".join(lines)), "tc")
    assert [label for _, label in pairs(found)] == ["1", "1", "1", "2", "2"]
    assert told(found) == ["labels are of several types (float, int, str); all read as text"]
    found = read_examples(write("a.tsv", "text\tlabel\na\t1\nb\t1.0\nc\t2.5\nd\t2.5\n"), "tc")
    assert [label for _, label in pairs(found)] == ["1", "1", "2.5", "2.5"]
    assert told(found) == ["the labels '1.0' and '1' differ only in how a number is written; read as one"]
    with pytest.raises(ValidationError, match="line 1: the label is of type list"):
        read_examples(write("b.jsonl", '{"text": "a", "label": ["x", "y"]}'), "tc")


def test_ids_that_repeat_are_told(write: Write) -> None:
    # Trap 11
    found = read_examples(write("a.csv", "id,text,label\n7,a,x\n7,b,x\n8,c,y\n9,d,y\n"), "tc")
    assert len(found.examples) == 4
    assert told(found) == ["lines 2, 3: share 1 ids; kept; ids are told, nothing is decided by them"]


def test_a_label_seen_once_is_told(write: Write) -> None:
    # Trap 13
    found = read_examples(write("a.csv", "text,label\na,x\nb,x\nc,rare\n"), "tc")
    assert told(found) == ["line 4: the label 'rare' is seen once; trained on, cannot be validated"]


def test_a_text_of_a_million_characters(write: Write) -> None:
    # Trap 15
    for name, cell in (("a.csv", ","), ("a.tsv", "\t")):
        found = read_examples(write(name, f"text{cell}label\n{'가' * 1_000_000}{cell}x\nb{cell}y\n"), "tc")
        assert [len(text) for text, _ in pairs(found)] == [1_000_000, 1]


def test_rows_of_other_widths_are_refused(write: Write) -> None:
    with pytest.raises(ValidationError, match=r"lines 3, 4: 3 cells in the first of them, 2 in line 1"):
        read_examples(write("a.csv", "text,label\na,x\nb, c,x\nd\n"), "tc")
    with pytest.raises(ValidationError, match=r"line 3: unexpected end of data"):
        read_examples(write("a.csv", 'text,label\na,x\n"b,x\nc,y\n'), "tc")
    with pytest.raises(ValidationError, match="one column; as csv, cells are separated by commas"):
        read_examples(write("a.csv", "text;label\na;x\n"), "tc")


def test_problems_hold_no_texts(write: Write) -> None:
    # Trap 36
    secret = "Kim of 3 Main Street"
    lines = [f'{{"text": "{secret}", "label": {label}, "id": 1}}' for label in ('"x"', '"x "', "2", '"x"')]
    found = read_examples(write("a.jsonl", "\n".join(lines)), "tc")
    assert len(found.problems) == 4
    assert all(secret not in line for line in told(found))


# -- sentences with entities ---------------------------------------------------------------------


def test_any_blank_line_is_between_sentences(write: Write) -> None:
    # Trap 18: empty, a tab, a blank, CRLF
    path = write("a.conll", "Ada\tB-PER\nleft\tO\n\t\nBob\tB-PER\n \nEve\tB-PER\r\n\r\n\nEnd\tO\n")
    assert [text for text, _ in sentences(read_examples(path, "ner"))] == ["Ada left", "Bob", "Eve", "End"]


def test_characters_keep_their_blanks(write: Write) -> None:
    # Traps 8, 19, 20 and 24: blanks and `#` are tokens; the marks of a comment are not read; offsets are code points
    blocks = "## 주석 : ##\n## g-1\t<<김:PS>> # 🙂 서울\n" + "".join(
        f"{character}\t{tag}\n"
        for character, tag in zip("김 # 🙂 서울", ["B-PS", *["O"] * 5, "B-LC", "I-LC"], strict=True)
    )
    found = read_examples(write("a.tsv", blocks + "\n## g-2\t\n가\tB-DT\n\n"), "ner")
    assert sentences(found) == [("김 # 🙂 서울", [("김", "PS"), ("서울", "LC")]), ("가", [("가", "DT")])]
    assert [row.id for row in found.examples] == ["g-1", "g-2"]
    first = found.examples[0]
    assert isinstance(first, TaggedText)
    assert first.entities[1] == Span(6, 8, "LC")
    assert first.line == 3


def test_tokens_that_were_stripped(write: Write) -> None:
    # Trap 19
    found = read_examples(write("a.tsv", "## g\t\n가\tO\n\tO\n나\tB-PS\n"), "ner")
    assert sentences(found) == [("가 나", [("나", "PS")])]
    assert told(found) == ["line 3: a tag without a character; read as a blank that was stripped"]
    found = read_examples(write("a.conll", "a\tO\n\tO\nb\tB-X\n"), "ner")
    assert sentences(found) == [("a b", [("b", "X")])]
    assert told(found) == ["line 2: an empty token; left out"]


def test_a_hash_may_be_a_token(write: Write) -> None:
    # Trap 20
    path = write("a.conll", "# id 1 of the first sentence\n#\tO\n#Seoul\tB-LOC\n# \tO\n")
    assert sentences(read_examples(path, "ner")) == [("# #Seoul #", [("#Seoul", "LOC")])]


def test_tags_that_begin_inside_are_repaired_and_told(write: Write) -> None:
    # Trap 21
    found = read_examples(write("a.conll", "Ada\tI-PER\nLovelace\tI-PER\nin\tO\nParis\tB-LOC\n"), "ner")
    assert sentences(found) == [("Ada Lovelace in Paris", [("Ada Lovelace", "PER"), ("Paris", "LOC")])]
    assert told(found) == ["line 1: the tag 'I-PER' of token 1 continues an entity that has not begun; read as B-PER"]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("I-PER I-PER O I-LOC", "IOB1"),
        ("B-PER E-PER O S-LOC", "BIOES"),
        ("PER_B PER_I - LOC_B", ""),
    ],
)
def test_other_schemes_are_converted_and_told(write: Write, tags: str, scheme: str) -> None:
    # Trap 21
    words = ["Ada", "Lovelace", "in", "Paris"]
    lines = "".join(f"{word} {tag}\n" for word, tag in zip(words, tags.split(), strict=True))
    found = read_examples(write("a.conll", lines), "ner")
    assert sentences(found) == [("Ada Lovelace in Paris", [("Ada Lovelace", "PER"), ("Paris", "LOC")])]
    assert told(found) == ([f"the tags are {scheme}; converted"] if scheme else [])


def test_lines_that_cannot_be_read_are_all_told(write: Write) -> None:
    # Trap 23
    with pytest.raises(ValidationError, match=r"line 2: 1 columns where others have 2.*line 4: .*several tags"):
        read_examples(write("a.conll", "Ada\tB-PER\nleft\n\nX\tB-creative-work,B-person\n"), "ner")
    with pytest.raises(ValidationError, match=r"line 2: the tag 'PER' is of no known scheme"):
        read_examples(write("a.conll", "Ada\tB-PER\nleft\tPER\n"), "ner")
    with pytest.raises(ValidationError, match="line 2: 3 columns, not a character, a tab and a tag"):
        read_examples(write("a.tsv", "## g\t\n가\tO\tO\n"), "ner")


def test_columns_of_conll_files(write: Write) -> None:
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n# NN I-NP O\n"
    path = write("a.conll", text)
    assert sentences(read_examples(path, "ner")) == [("EU rejects #", [("EU", "ORG")])]
    chunks = read_examples(path, "ner", label_column="3")
    assert sentences(chunks)[0][1] == [("EU", "NP"), ("rejects", "VP"), ("#", "NP")]
    with pytest.raises(SpecError, match="label_column: there is no column 7"):
        read_examples(path, "ner", label_column="7")


def test_sentences_without_entities_are_kept(write: Write) -> None:
    # Trap 25
    found = read_examples(write("a.conll", "a\tO\n\nb\tB-X\n\nc\tO\n"), "ner")
    assert [len(entities) for _, entities in sentences(found)] == [0, 1, 0]


def test_entities_in_json_lines(write: Write) -> None:
    lines = [
        '{"text": "Ada met Bob", "entities": [{"start": 8, "end": 11, "type": "PER"}, [0, 3, "PER"]], "id": 4}',
        '{"text": "nobody", "entities": []}',
    ]
    found = read_examples(write("a.jsonl", "\n".join(lines)), "ner")
    assert sentences(found) == [("Ada met Bob", [("Ada", "PER"), ("Bob", "PER")]), ("nobody", [])]
    tokens = write("b.jsonl", '{"tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"]}\n')
    assert sentences(read_examples(tokens, "ner")) == [("Ada left", [("Ada", "PER")])]
    with pytest.raises(ValidationError, match="line 1: 2 tokens and 1 tags"):
        read_examples(write("c.jsonl", '{"tokens": ["Ada", "left"], "tags": ["B-PER"]}\n'), "ner")
    with pytest.raises(ValidationError, match="line 1: the entity 'PER' from 0 to 9 does not lie"):
        read_examples(write("d.jsonl", '{"text": "Ada", "entities": [[0, 9, "PER"]]}\n'), "ner")
    mixed = write("f.jsonl", '{"text": "Ada", "entities": []}\n{"tokens": ["Ada"], "tags": ["O"]}\n')
    with pytest.raises(ValidationError, match="line 2: tokens, where other rows have text"):
        read_examples(mixed, "ner")
    with pytest.raises(ValidationError, match="line 2: not JSON"):
        read_examples(write("e.jsonl", '{"text": "Ada", "entities": []}\n{"text\n'), "ner")


# -- formats -------------------------------------------------------------------------------------


def test_a_format_is_told_by_the_name_or_by_the_caller(write: Write) -> None:
    path = write("data.dat", "text\tlabel\na\tx\nb\ty\n")
    with pytest.raises(SpecError, match=r"format: .*data.dat does not say it .* 'csv', 'tsv'"):
        read_examples(path, "tc")
    assert len(read_examples(path, "tc", format="tsv").examples) == 2
    with pytest.raises(SpecError, match="format: 'conll' is none for 'tc'"):
        read_examples(path, "tc", format="conll")
    with pytest.raises(SpecError, match="task: 'sentiment'"):
        read_examples(path, "sentiment")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"missing.tsv: cannot be read: No such file"):
        read_examples(path.with_name("missing.tsv"), "tc")


def test_what_is_written_as_json_lines_comes_back(write: Write, tmp_path: Path) -> None:
    labelled = read_examples(write("a.csv", 'id,text,label\n1,"a\nb\u2028",x\n2,🙂,y\n'), "tc")
    write_jsonl(labelled.examples, tmp_path / "a.jsonl")
    again = read_examples(tmp_path / "a.jsonl", "tc")
    assert (again.examples, again.digest) == (labelled.examples, labelled.digest)
    tagged = read_examples(write("a.conll", "Ada\tB-PER\n\nnobody\tO\n"), "ner")
    write_jsonl(tagged.examples, tmp_path / "b.jsonl")
    again = read_examples(tmp_path / "b.jsonl", "ner")
    assert (again.examples, again.digest) == (tagged.examples, tagged.digest)
    assert tagged.digest != labelled.digest


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"text": ["좋다", None, "싫다"], "label": [1, 0, 0]})
    info = b'{"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}'
    parquet.write_table(table.replace_schema_metadata({b"huggingface": info}), tmp_path / "a.parquet")
    found = read_examples(tmp_path / "a.parquet", "tc")
    assert pairs(found) == [("좋다", "pos"), ("싫다", "neg")]
    assert told(found)[0] == "line 2: no text; left out"
    table = arrow.table({"tokens": [["Ada", "left"]], "ner_tags": [["B-PER", "O"]]})
    parquet.write_table(table, tmp_path / "b.parquet")
    assert sentences(read_examples(tmp_path / "b.parquet", "ner")) == [("Ada left", [("Ada", "PER")])]
    (tmp_path / "c.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ValidationError, match="cannot be read as Parquet"):
        read_examples(tmp_path / "c.parquet", "tc")
