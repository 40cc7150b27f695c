"""Forms and files as bodies: what documents they are, and everything that may be wrong with them."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.errors import DecodeError, RequestError, TooLarge
from dure.gateway.http_upload import body_of

FORM = b"multipart/form-data; boundary=xyz"


def part(name: str, content: bytes, *, file: str | None = None, kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{file}"' if file is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return b"--xyz\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def read(data: bytes, kind: bytes = FORM) -> tuple[list[Any], dict[str, Any]]:
    body = body_of(data, kind)
    assert body is not None
    return [json.loads(bytes(one)) for one in body.data], body.parameters


def test_files_and_texts_are_documents_and_the_rest_are_parameters() -> None:
    form = part("file", b"\x00\xff", file="a.png", kind="image/png") + part(
        "other", "글".encode(), file="한.txt", kind="text/plain"
    )
    form += part("text", "두레".encode()) + part("parameters", b'{"limit": 3}') + part("lang", b"ko") + b"--xyz--\r\n"
    documents, parameters = read(form)
    assert documents == [
        {"mime_type": "image/png", "tags": {"filename": "a.png"}, "blob": base64.b64encode(b"\x00\xff").decode()},
        {"mime_type": "text/plain", "tags": {"filename": "한.txt"}, "text": "글"},
        {"text": "두레"},
    ]
    assert parameters == {"limit": 3, "lang": "ko"}


def test_a_file_by_itself() -> None:
    assert read(b"abc", b"application/octet-stream")[0] == [{"mime_type": "application/octet-stream", "blob": "YWJj"}]
    assert read("글".encode(), b"text/plain; charset=utf-8")[0] == [{"mime_type": "text/plain", "text": "글"}]


def test_fields_of_a_page() -> None:
    assert read(b"text=many+hands&text=%EB%91%90%EB%A0%88&limit=3", b"application/x-www-form-urlencoded") == (
        [{"text": "many hands"}, {"text": "두레"}],
        {"limit": "3"},
    )


@pytest.mark.parametrize("kind", [b"application/json", b"", b"application/x-www-form-urlencoded"])
def test_whatever_looks_like_json_is_left_to_who_reads_json(kind: bytes) -> None:
    assert body_of(b'{"data": []}', kind) is None


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", b"multipart/form-data", "in the middle"),
        (b"nothing", FORM, "no form"),
        (part("text", b"a"), FORM, "in the middle of a part"),
        (part("text", b"\xff") + b"--xyz--", FORM, "UTF-8"),
        (part("parameters", b"[1]") + b"--xyz--", FORM, "JSON object"),
        (part("parameters", b'{"a":' * 200 + b"1" + b"}" * 200) + b"--xyz--", FORM, "more than 100 deep"),
        (b"text", b"application/x-www-form-urlencoded", "no form"),
        (b"text=%FF", b"application/x-www-form-urlencoded", "no form"),
        (b"\xff", b"text/plain", "UTF-8"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, kind: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        body_of(data, kind)


def test_of_parts_there_are_not_too_many() -> None:
    with pytest.raises(TooLarge):
        body_of(part("text", b"a") * 10_000 + b"--xyz--", FORM)
    with pytest.raises(DecodeError):
        body_of(b"a=1&" * 10_000 + b"a=1", b"application/x-www-form-urlencoded")


@given(data=st.binary(max_size=300), tail=st.sampled_from([b"", b"\r\n--xyz--\r\n"]))
def test_no_form_makes_it_fail(data: bytes, tail: bytes) -> None:
    for body in (data, b"--xyz\r\n" + data + tail):
        with contextlib.suppress(RequestError):
            body_of(body, FORM)


def test_a_stranger_writes_nothing_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DecodeError):
        body_of(b"--xy{", FORM)
    assert caplog.text == ""
