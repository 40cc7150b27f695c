import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.files import read_csv, read_jsonl, replacing, write_jsonl
from dure.errors import ValidationError
from tests.documents import KOREAN, MOJIBAKE, TROUBLE, content, lists_of_documents


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def put(folder: Path, data: bytes | str) -> Path:
    path = folder / "data"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def contents(documents: Any) -> list[dict[str, Any]]:
    return [content(document) for document in documents]


# -- what is written comes back ------------------------------------------------------------------


@settings(max_examples=20)  # each is written to the disk for good
@given(items=lists_of_documents)
def test_json_lines_come_back(folder: Path, items: list[Document]) -> None:
    path = folder / "a.jsonl"
    DocumentArray(items).to_jsonl(path)
    assert path.read_bytes().count(b"\n") == len(items)
    assert contents(DocumentArray.from_jsonl(path)) == contents(items)


@settings(max_examples=20)  # each is written to the disk for good
@given(items=lists_of_documents)
def test_csv_comes_back(folder: Path, items: list[Document]) -> None:
    path = folder / "a.csv"
    DocumentArray(items).to_csv(path)
    assert contents(DocumentArray.from_csv(path)) == contents(items)


@pytest.mark.parametrize("text", [*TROUBLE, KOREAN, MOJIBAKE], ids=ascii)
def test_text_comes_back_byte_for_byte(tmp_path: Path, text: str) -> None:
    docs = DocumentArray([Document(text, tags={"t": text}), Document("next")])
    docs.to_jsonl(tmp_path / "a.jsonl")
    docs.to_csv(tmp_path / "a.csv", delimiter=";")
    for found in (
        DocumentArray.from_jsonl(tmp_path / "a.jsonl"),
        DocumentArray.from_csv(tmp_path / "a.csv", delimiter=";"),
    ):
        assert found.texts == [text, "next"]
        assert found[0].tags == {"t": text}


def test_types_in_tags_are_kept_in_csv(tmp_path: Path) -> None:
    tags = {"int": 1, "float": 1.0, "text": "1", "true": True, "none": None, "list": [1, [2.5]]}
    DocumentArray([Document(tags=tags)]).to_csv(tmp_path / "a.csv")
    assert repr(DocumentArray.from_csv(tmp_path / "a.csv")[0].tags) == repr(tags)


def test_other_readers_understand_our_csv(tmp_path: Path) -> None:
    docs = DocumentArray([Document('a,"b"\r\nc', id="1"), Document("d\re", id="2")])
    docs.to_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["id", "text"], ["1", 'a,"b"\r\nc'], ["2", "d\re"]]


def test_cells_may_be_long(tmp_path: Path) -> None:
    docs = DocumentArray([Document("가" * 200_000)])
    docs.to_csv(tmp_path / "a.csv")
    assert DocumentArray.from_csv(tmp_path / "a.csv").texts == docs.texts


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = put(tmp_path, '{"text": "a"}\n{"text": "b"}\nnot json\n')
    found = read_jsonl(path)
    assert [next(found).text, next(found).text] == ["a", "b"]
    with pytest.raises(ValidationError, match="line 3"):
        next(found)
    rows = read_csv(put(tmp_path, "text\na\nb\nc,d\n"))
    assert [next(rows).text, next(rows).text] == ["a", "b"]
    with pytest.raises(ValidationError, match="line 4: 2 cells for 1 columns"):
        next(rows)


# -- files of others -----------------------------------------------------------------------------


def test_columns_that_are_no_field_become_tags(tmp_path: Path) -> None:
    path = put(tmp_path, "id\tdocument\tlabel\n9976970\t아 더빙..\t0\n3819312\t흠...\t\n")
    first, second = read_csv(path, text="document", delimiter="\t", quoted=False)
    assert (first.id, first.text, first.tags) == ("9976970", "아 더빙..", {"label": "0"})
    assert second.tags == {"label": ""}


def test_a_file_without_a_header_has_names(tmp_path: Path) -> None:
    path = put(tmp_path, "1,문장\r\n2,다른 문장\r\n")
    docs = DocumentArray.from_csv(path, names=["label", "text"])
    assert docs.texts == ["문장", "다른 문장"]
    assert docs.tags == [{"label": "1"}, {"label": "2"}]


def test_quotes_are_text_where_they_do_not_enclose(tmp_path: Path) -> None:
    path = put(tmp_path, 'id\ttext\n1\t"open\n2\tcl"osed"\n')
    assert DocumentArray.from_csv(path, delimiter="\t", quoted=False).texts == [
        '"open',
        'cl"osed"',
    ]


def test_quotes_enclose_line_ends_and_delimiters(tmp_path: Path) -> None:
    path = put(tmp_path, 'text,label\r\n"a\r\nb, ""c""\n\n",1\r\nd,2\r\n')
    docs = DocumentArray.from_csv(path)
    assert docs.texts == ['a\r\nb, "c"\n\n', "d"]
    assert docs.tags == [{"label": "1"}, {"label": "2"}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("last", ["", "\n", "\n\n\n"])
def test_line_ends(tmp_path: Path, end: str, quoted: bool, last: str) -> None:
    text = "text,label\na,1\nb\u2028c\x0bd\x85,2" + last
    path = put(tmp_path, text.replace("\n", end))
    docs = DocumentArray.from_csv(path, quoted=quoted)
    assert docs.texts == ["a", "b\u2028c\x0bd\x85"]
    assert docs.tags == [{"label": "1"}, {"label": "2"}]
    lines = '{"text":"a"}\n{"text":"b\u2028\x85"}' + last
    path = put(tmp_path, lines.replace("\n", end))
    assert DocumentArray.from_jsonl(path).texts == ["a", "b\u2028\x85"]


def test_a_lone_carriage_return_is_text_without_quotes(tmp_path: Path) -> None:
    path = put(tmp_path, "text\nline\r1\n")
    assert DocumentArray.from_csv(path, quoted=False).texts == ["line\r1"]
    with pytest.raises(ValidationError, match="line 2"):
        DocumentArray.from_csv(path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = put(tmp_path, b"\xef\xbb\xbfid,text\n1,\xef\xbb\xbfa\n")
    docs = DocumentArray.from_csv(path)
    assert (docs.ids, docs.texts) == (["1"], ["\ufeffa"])
    assert DocumentArray.from_csv(path, encoding="utf-8-sig").ids == ["1"]
    assert DocumentArray.from_jsonl(put(tmp_path, b'\xef\xbb\xbf{"text":"a"}')).texts == ["a"]


def test_a_byte_order_mark_is_written_once_if_asked_for(tmp_path: Path) -> None:
    docs = DocumentArray([Document("가", id="1"), Document("b", id="2")])
    docs.to_csv(tmp_path / "a.csv", encoding="utf-8-sig")
    data = (tmp_path / "a.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfid,text\r\n")
    assert data.count(b"\xef\xbb\xbf") == 1
    assert DocumentArray.from_csv(tmp_path / "a.csv") == docs


def test_bytes_of_another_encoding_are_an_error(tmp_path: Path) -> None:
    text = "id,text\n1,ascii\n2,한국어\n"
    path = put(tmp_path, text.encode("cp949"))
    with pytest.raises(ValidationError, match=r"line 3: not utf-8: byte 0xc7 at 2.*cp949.*한국어"):
        DocumentArray.from_csv(path)
    assert DocumentArray.from_csv(path, encoding="cp949").texts == ["ascii", "한국어"]
    path = put(tmp_path, '{"text": "한국어"}'.encode("euc-kr"))
    with pytest.raises(ValidationError, match="line 1: not utf-8"):
        DocumentArray.from_jsonl(path)
    assert DocumentArray.from_jsonl(path, encoding="euc-kr").texts == ["한국어"]
    with pytest.raises(ValidationError, match=r"line 1: not utf-8: byte 0xff at 0\.$"):
        DocumentArray.from_jsonl(put(tmp_path, b"\xff\xff\xff"))
    with pytest.raises(ValidationError, match="line 1: not ascii"):
        DocumentArray.from_jsonl(put(tmp_path, "가"), encoding="ascii")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_encodings_of_wide_characters_are_refused(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path, "text\na\n".encode(encoding))
    with pytest.raises(ValidationError, match="convert"):
        DocumentArray.from_csv(path, encoding=encoding)
    with pytest.raises(ValidationError, match="convert"):
        DocumentArray([Document("a")]).to_csv(path, encoding=encoding)
    with pytest.raises(LookupError):
        DocumentArray.from_csv(path, encoding="no such encoding")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty"),
        ("text,label\na\n", {}, r"line 2: 1 cells for 2 columns \(text, label\)"),
        ("text,label\na,b\n\nc,d,e\n", {}, "line 3: empty, but more lines follow"),
        ("text\n\na\n", {}, "line 2: empty"),
        ('text,label\n"a\nb",1\nc,2,3\n', {}, "line 4: 3 cells"),
        ('text,label\n"a\nb,1\nc,2\n', {}, "line 2: unexpected end of data"),
        ('text,label\n"a"b,1\n', {}, "line 2: ',' expected after"),
        ("txt,label\na,b\n", {}, r"no column 'text' .*Did you mean 'txt'.*txt, label"),
        ("text,label,label\n", {}, "two columns 'label'"),
        ("text,doc\n", {"text": "doc"}, "'doc' was named as the text, but"),
        ("id,text,tags\n1,a,{x}\n", {}, r"line 2, column 'tags' is not JSON"),
        ("id,text,tags\n1,a,5\n", {}, r"line 2\.tags must be an object"),
        ("text,embedding\na,[x]\n", {}, "line 2, column 'embedding' is not JSON"),
        ("text,blob\na,%%\n", {}, r"line 2\.blob must be base64"),
        ('text,tags,label\na,"{""label"":1}",2\n', {}, "line 2: the tag 'label' is also a column"),
        ("a,b\n", {"names": ["text", "text"]}, "two columns"),
    ],
)
def test_a_faulty_csv_file_is_an_error_that_says_where(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray.from_csv(put(tmp_path, text), **options)


def test_files_without_documents(tmp_path: Path) -> None:
    assert len(DocumentArray.from_csv(put(tmp_path, "id,text\n"))) == 0
    assert len(DocumentArray.from_csv(put(tmp_path, ""), names=["text"])) == 0
    assert len(DocumentArray.from_jsonl(put(tmp_path, ""))) == 0
    DocumentArray().to_csv(tmp_path / "a.csv")
    assert len(DocumentArray.from_csv(tmp_path / "a.csv")) == 0


def test_a_file_without_text(tmp_path: Path) -> None:
    path = put(tmp_path, "id,uri\n1,a.png\n")
    docs = DocumentArray.from_csv(path, text=None)
    assert (docs.ids, docs.column("uri"), docs.texts) == (["1"], ["a.png"], [""])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"text":"a"}\n\n{"text":"b"}\n', "line 2: empty"),
        ('{"text":"a"}\n{"text":5}\n', r"data, line 2\.text must be a text"),
        ('{"text":"a"}{"text":"b"}\n', "line 1 is not JSON"),
        ('{"text":"a\n"}\n', "line 1 is not JSON"),
        ('{"label":"a"}\n', "no field 'label'"),
        ("[]\n", "must be an object"),
    ],
)
def test_a_faulty_line_is_an_error_that_says_where(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DocumentArray.from_jsonl(put(tmp_path, lines))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DocumentArray.from_csv(tmp_path / "none.csv")


# -- whole or not at all -------------------------------------------------------------------------


def broken() -> Iterator[Document]:
    yield Document("fine")
    yield Document(tags={"a": float("nan")})


def interrupted(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("existing", [None, "old"])
def test_a_file_that_fails_is_not_there_or_as_it_was(tmp_path: Path, existing: str | None) -> None:
    path = tmp_path / "a"
    if existing:
        path.write_text(existing)
    with pytest.raises(ValidationError, match="nan"):
        write_jsonl(path, broken())
    with pytest.raises(ValidationError, match="nan"):
        DocumentArray(broken()).to_csv(path)
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert os.listdir(tmp_path) == (["a"] if existing else [])
    assert not existing or path.read_text() == existing


def test_what_cannot_be_written_in_an_encoding_is_an_error(tmp_path: Path) -> None:
    docs = DocumentArray([Document("한국어", id="1"), Document("\U0001f469", id="2")])
    with pytest.raises(ValidationError, match="document '2'"):
        docs.to_csv(tmp_path / "a.csv", encoding="cp949")
    docs[:1].to_csv(tmp_path / "a.csv", encoding="cp949")
    assert DocumentArray.from_csv(tmp_path / "a.csv", encoding="cp949").texts == ["한국어"]


def test_a_file_keeps_its_rights_and_links_stay_links(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.touch()
    path.chmod(0o640)
    link.symlink_to(path)
    DocumentArray([Document("a")]).to_jsonl(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert DocumentArray.from_jsonl(path).texts == ["a"]


def test_only_files_are_replaced(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is not a file"):
        DocumentArray().to_jsonl(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValidationError, match="is not a file"):
        DocumentArray().to_csv(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_an_attribute_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    document = Document("a")
    document.embeding = np.ones(2)  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="Did you mean 'embedding'"):
        DocumentArray([document]).to_csv(tmp_path / "a.csv")
