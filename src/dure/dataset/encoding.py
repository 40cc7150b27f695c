"""From the bytes of a file to its text, without guessing.

UTF-8, strictly, and UTF-16 where a byte order mark says so; cp949 only where the caller allows it. Text that was once
read in the wrong encoding is refused: it cannot be repaired, some of its bytes are gone. Knows no formats.
"""

import codecs
import re
from collections.abc import Iterator

from dure.dataset.problems import Problem, told
from dure.errors import SpecError, ValidationError

KOREAN = "cp949"  # holds all of EUC-KR

# UTF-8's three bytes of a Hangul syllable or a typographic sign, each read as one cp1252 character.
_SIGNS = bytes(set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")
_UTF8_MISREAD = re.compile(f"[\u00ea\u00eb\u00ec\u00ed\u00e3\u00e2][\u0080-\u00bf{_SIGNS}]")
# EUC-KR's two bytes of a syllable, each read as one Latin-1 character; two syllables, which no language writes.
_KOREAN_MISREAD = re.compile("(?:[\u00b0-\u00c8][\u00a1-\u00fe]){2,}")
_REFUSED_SHARE, _REFUSED_COUNT = 0.02, 8
_REPLACED = "\ufffd"
_HANGUL = re.compile("[\uac00-\ud7a3]")


def decode(raw: bytes, name: str, encoding: str | None = None) -> tuple[str, list[Problem]]:
    """Return the text of a file, and what of it looks as if it had been read wrongly before.

    Args:
        raw: The bytes of the file.
        name: What it is called in errors.
        encoding: None is UTF-8; `cp949` allows that one where the bytes are not UTF-8; any other is taken at its word.

    Raises:
        SpecError: An encoding that does not exist.
        ValidationError: Bytes that are not of the encoding, or text that was read in a wrong one before.
    """
    text, problems = _decoded(raw, name, encoding)
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text, problems + _misread(text, name)


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield each line with its number. Only `\n` and `\r\n` end a line: U+2028, U+0085 and the like are text."""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        yield number, line.removesuffix("\r")


def _decoded(raw: bytes, name: str, encoding: str | None) -> tuple[str, list[Problem]]:
    wanted = _known(encoding or "utf-8")
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        wanted = "utf-32"
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wanted = "utf-16"
    korean = wanted in (KOREAN, "euc_kr")
    try:
        # A text in cp949 that is UTF-8 by accident is not to be found; the other way round is a common mistake.
        text = raw.decode("utf-8" if korean else wanted)
    except UnicodeDecodeError as error:
        if not korean:
            raise ValidationError(f"{name}: {_undecoded(raw, error)}") from error
    else:
        return text.removeprefix("\ufeff"), []
    try:
        return raw.decode(KOREAN), [Problem("the file is not UTF-8", f"read as {KOREAN}, as was allowed")]
    except UnicodeDecodeError as error:
        raise ValidationError(f"{name}: {_undecoded(raw, error)}") from error


def _known(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding).name
    except LookupError as error:
        raise SpecError(f"encoding: {encoding!r} is not known; utf-8, cp949 and utf-16 are") from error
    return "utf-8" if found == "utf-8-sig" else found


def _undecoded(raw: bytes, error: UnicodeDecodeError) -> str:
    line = raw.count(b"\n", 0, error.start) + 1
    column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
    seen = f"byte {raw[error.start]:#04x}" if error.start < len(raw) else "its end"
    return f"line {line:,}: not {error.encoding}: {seen} at byte {column:,} of the line. {_looks_like(raw)}"


def _looks_like(raw: bytes) -> str:
    if raw[:4000].count(0) > len(raw[:4000]) // 4:
        return "It looks like UTF-16 without a byte order mark: give encoding='utf-16-le' if it is"
    try:
        korean = raw.decode(KOREAN)
    except UnicodeDecodeError:
        bad = sum(not _is_utf8(line) for line in raw.split(b"\n"))
        return f"{bad:,} of its lines are not UTF-8, nor is the file {KOREAN}; say its encoding, or save it as UTF-8"
    if _HANGUL.search(korean):
        return f"It looks like {KOREAN} (Korean Windows): give encoding='{KOREAN}' if it is"
    return "Say its encoding (for example encoding='cp1252'), or save it as UTF-8"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _misread(text: str, name: str) -> list[Problem]:
    """Return problems for lines that were read wrongly before.

    Raises:
        ValidationError: So many of them that the whole file is spoilt, or bytes that are no text.
    """
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise ValidationError(f"{name}: line {line:,}: a NUL character: this is no text file, or UTF-16 read as UTF-8")
    spoilt = 2 * sum(1 for _ in _UTF8_MISREAD.finditer(text)) + sum(len(m[0]) for m in _KOREAN_MISREAD.finditer(text))
    if spoilt >= _REFUSED_COUNT and spoilt > _REFUSED_SHARE * len(text):
        raise ValidationError(
            f"{name}: {spoilt / len(text):.0%} of its characters are of a text that was read in a wrong encoding"
            " (Korean as Windows-1252). It cannot be repaired, bytes are lost: export the original again as UTF-8"
        )
    problems = []
    if spoilt:
        numbers = [at for at, line in lines_of(text) if _UTF8_MISREAD.search(line) or _KOREAN_MISREAD.search(line)]
        what = f"{told(numbers)}: looks as if it had been read in a wrong encoding"
        problems.append(Problem(what, "kept as it is; export the original again"))
    if _REPLACED in text:
        numbers = [number for number, line in lines_of(text) if _REPLACED in line]
        what = f"{told(numbers)}: {text.count(_REPLACED):,} times U+FFFD, which stands for what somebody could not read"
        problems.append(Problem(what, "kept as it is; export the original again"))
    return problems
