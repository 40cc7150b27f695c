"""Bodies that are no JSON: files and fields of a form, or a file by itself. Each file or text is a document.

    curl localhost:8080/describe -F file=@one.jpg -F file=@two.jpg -F parameters='{"limit": 3}'
    curl localhost:8080/describe --data-binary @one.jpg -H 'Content-Type: image/jpeg'

A field `text` is a document, `parameters` is their JSON, any other field is a parameter by its name. Knows nothing of
connections; nothing is written to a disk, since a body is no larger than the Flow accepts.
"""

import base64
import logging
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from dure.deps import require
from dure.errors import DecodeError, TooLarge
from dure.gateway.http_json import Body
from dure.gateway.json_depth import check_depth

_MAX_PARTS = 1000
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a stranger's broken form is told to the stranger
_FORM, _FIELDS = "multipart/form-data", "application/x-www-form-urlencoded"
_FILES = ("text/", "image/", "audio/", "video/", "application/octet-stream", "application/pdf")


def body_of(data: bytes, content_type: bytes) -> Body | None:
    """Read a body by its type; None if it is to be read as JSON.

    Raises:
        DecodeError: It is not what its type says.
        TooLarge: More parts than anybody needs.
    """
    kind = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    if kind == _FORM:
        return _of_form(data, content_type)
    if kind == _FIELDS and not data.lstrip().startswith(b"{"):  # what curl says of whatever it sends
        return _of_parts([(name, None, "", value.encode()) for name, value in _fields(data)])
    if kind.startswith(_FILES):
        return _of_parts([("file", None, kind, data)])
    return None


class _Part:
    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.name = self.value = b""
        self.data = bytearray()


def _of_form(data: bytes, content_type: bytes) -> Body:
    python_multipart = require("python_multipart.multipart", "http")
    _, options = python_multipart.parse_options_header(content_type)
    parts: list[_Part] = []

    def begin() -> None:
        if len(parts) == _MAX_PARTS:
            raise TooLarge(f"a form of more than {_MAX_PARTS:,} parts")
        parts.append(_Part())

    def header_end() -> None:
        part = parts[-1]
        part.headers[part.name.lower()] = part.value
        part.name = part.value = b""

    def name_part(chunk: bytes, start: int, end: int) -> None:
        parts[-1].name += chunk[start:end]

    def value_part(chunk: bytes, start: int, end: int) -> None:
        parts[-1].value += chunk[start:end]

    def data_part(chunk: bytes, start: int, end: int) -> None:
        parts[-1].data += chunk[start:end]

    ended: list[bool] = []
    callbacks = {
        "on_part_begin": begin,
        "on_header_field": name_part,
        "on_header_value": value_part,
        "on_header_end": header_end,
        "on_part_data": data_part,
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = python_multipart.MultipartParser(options.get(b"boundary", b""), callbacks)
        parser.write(data)
        parser.finalize()
    except (ValueError, python_multipart.FormParserError) as error:
        raise DecodeError(f"the body is no form: {error}") from error
    if not ended:
        raise DecodeError("the form ends in the middle of a part")
    return _of_parts([_told(part, python_multipart.parse_options_header) for part in parts])


def _told(part: _Part, read: Any) -> tuple[str, str | None, str, bytes]:
    """Return a part's name, the name of its file if it is one, its media type and its content."""
    _, options = read(part.headers.get(b"content-disposition", b""))
    file = options.get(b"filename")
    kind = part.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    name = options.get(b"name", b"").decode(errors="replace")
    return name, None if file is None else file.decode(errors="replace"), kind, bytes(part.data)


def _fields(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            data.decode(), keep_blank_values=True, strict_parsing=bool(data), errors="strict", max_num_fields=_MAX_PARTS
        )
    except (ValueError, UnicodeError) as error:
        raise DecodeError(f"the body is no form: {error}") from error


def _of_parts(parts: list[tuple[str, str | None, str, bytes]]) -> Body:
    documents: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}
    for name, file, kind, content in parts:
        if file is not None or kind.startswith(_FILES):
            documents.append(_document(file, kind, content))
        elif name == "text":
            documents.append({"text": _text(name, content)})
        elif name == "parameters":
            parameters |= _parameters(content)
        else:
            parameters[name] = _text(name, content)
    return Body(data=[msgspec.Raw(msgspec.json.encode(document)) for document in documents], parameters=parameters)


def _document(file: str | None, kind: str, content: bytes) -> dict[str, Any]:
    document: dict[str, Any] = {"mime_type": kind} if kind else {}
    if file:
        document["tags"] = {"filename": file}
    if kind.startswith("text/"):
        return {**document, "text": _text(file or kind, content)}
    return {**document, "blob": base64.b64encode(content).decode()}


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeError as error:
        raise DecodeError(f"{name}: a text must be UTF-8: {error}") from error


def _parameters(content: bytes) -> dict[str, Any]:
    check_depth(content)
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"parameters must be a JSON object: {error}") from error
