import codecs

import pytest

from dure.dataset.encoding import decode, lines_of
from dure.errors import SpecError, ValidationError

KOREAN = "id\tdocument\tlabel\n1\t정말 재미있는 영화였다\t1\n2\t시간이 아깝다\t0\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_followed_and_taken_off(encoding: str) -> None:
    # Trap 1
    assert decode(KOREAN.encode(encoding), "f") == (KOREAN, [])


def test_cp949_is_an_error_that_says_so_unless_allowed() -> None:
    # Trap 2
    raw = KOREAN.encode("cp949")
    with pytest.raises(ValidationError, match=r"f: line 2: not utf-8: byte 0xc1 at byte 3 .* encoding='cp949'"):
        decode(raw, "f")
    text, problems = decode(raw, "f", "cp949")
    assert text == KOREAN
    assert [problem.what for problem in problems] == ["the file is not UTF-8"]
    assert decode(KOREAN.encode(), "f", "euc-kr") == (KOREAN, [])  # allowed, not needed


def test_bytes_of_no_encoding_that_fits_are_refused() -> None:
    # Trap 2: Latin-1 would take anything, and is never guessed
    with pytest.raises(ValidationError, match="1 of its lines are not UTF-8"):
        decode(KOREAN.encode() + b"\xff\xfe\x81\n", "f")
    with pytest.raises(ValidationError, match="not utf-8"):
        decode("café, naïve".encode("cp1252"), "f")
    assert decode("café, naïve".encode("cp1252"), "f", "cp1252")[0] == "café, naïve"
    with pytest.raises(ValidationError, match="line 2: not cp949"):
        decode("가\n".encode("cp949") + b"\xff\n", "f", "cp949")


def test_utf_16_without_a_mark_is_told() -> None:
    with pytest.raises(ValidationError, match="UTF-16"):
        decode("text,label\nplain,a\n".encode("utf-16-le"), "f")
    with pytest.raises(ValidationError, match="utf-16-le"):
        decode("text,label\n영화 좋다,a\n가나다,b\n".encode("utf-16-le"), "f")


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(SpecError, match="encoding: 'utf-9'"):
        decode(b"", "f", "utf-9")


@pytest.mark.parametrize(
    "spoilt", [KOREAN.encode().decode("cp1252", "ignore"), KOREAN.encode("cp949").decode("latin-1")]
)
def test_text_that_was_misread_is_refused(spoilt: str) -> None:
    # Trap 3
    with pytest.raises(ValidationError, match="read in a wrong encoding"):
        decode(spoilt.encode(), "f")


def test_single_lines_that_were_misread_are_told() -> None:
    # Trap 3
    lines = ["a plain line of English text that goes on for quite a while"] * 50
    lines[3] = "영".encode().decode("cp1252", "ignore")
    lines[7] = "lost \ufffd\ufffd"
    _, problems = decode("\n".join(lines).encode(), "f")
    assert [problem.what for problem in problems] == [
        "line 4: looks as if it had been read in a wrong encoding",
        "line 8: 2 times U+FFFD, which stands for what somebody could not read",
    ]


@pytest.mark.parametrize(
    "text", ["Où êtes-vous né, à l'hôtel “Forêt”? — Là…", "São João não é à-toa", "Ångström für Ähnliches"]
)
def test_european_text_is_not_misread(text: str) -> None:
    assert decode(text.encode(), "f") == (text, [])


def test_lines_end_at_line_feeds_only() -> None:
    # Trap 4
    text = "a\u2028b\u0085c\x0bd\x0ce\r\nnext\n\nlast"
    assert list(lines_of(text)) == [(1, "a\u2028b\u0085c\x0bd\x0ce"), (2, "next"), (3, ""), (4, "last")]
    assert list(lines_of("no end\n")) == [(1, "no end")]


def test_lone_carriage_returns_end_lines_where_nothing_else_does() -> None:
    assert decode(b"text\tlabel\ra\t1\r", "f")[0] == "text\tlabel\na\t1\n"


def test_the_mark_is_no_part_of_the_text() -> None:
    assert decode(codecs.BOM_UTF8 + b"id", "f")[0] == "id"
