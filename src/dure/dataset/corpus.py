"""Real English sentences that every machine with Python has: the docstrings of the standard library.

Reads source text only; imports nothing of what it reads. The order is that of the file names, so that two runs on
the same Python give the same sentences.
"""

import ast
import itertools
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

MIN_WORDS, MAX_WORDS = 5, 60
MIN_LETTERS = 0.85  # share of letters and spaces; below it, a "sentence" is mostly code or a table
NOT_STDLIB = {"site-packages", "dist-packages", "__pycache__"}
TESTS = {"test", "tests", "idle_test"}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(`])")


def read(count: int, folder: Path | None = None) -> list[str]:
    """Return the first `count` sentences, all different.

    Args:
        count: Number of sentences, >= 0.
        folder: A tree of Python files; the running Python's standard library if not given.

    Raises:
        LookupError: The tree holds fewer sentences.
    """
    folder = folder or standard_library()
    found = list(itertools.islice(distinct(folder), count))
    if len(found) < count:
        raise LookupError(
            f"{count:,} sentences were asked for, but the docstrings under {folder} hold only {len(found):,}."
            " Some systems ship Python's library in parts or compiled only; ask for fewer, or use another Python."
        )
    return found


def standard_library() -> Path:
    """Return where the running Python's own library is."""
    return Path(sysconfig.get_path("stdlib"))


def distinct(folder: Path) -> Iterator[str]:
    """Yield every different sentence of the docstrings under `folder`."""
    seen: set[str] = set()
    for path in _sources(folder):
        for docstring in _docstrings(path):
            for sentence in split(docstring):
                if sentence not in seen:
                    seen.add(sentence)
                    yield sentence


def labelled(folder: Path | None = None, *, min_sentences: int = 150) -> Iterator[tuple[str, str]]:
    """Yield different sentences, each with the package or module that it is of, such as `asyncio`; tests are left out.

    Args:
        folder: A tree of Python files; the running Python's standard library if not given.
        min_sentences: Of modules that have fewer, none are told.
    """
    folder = folder or standard_library()
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for path in _sources(folder):
        parts = path.relative_to(folder).parts
        if TESTS & {*parts}:
            continue
        for sentence in (sentence for docstring in _docstrings(path) for sentence in split(docstring)):
            if sentence not in seen:
                seen.add(sentence)
                found.setdefault(parts[0].removesuffix(".py"), []).append(sentence)
    for module, sentences in found.items():
        if len(sentences) >= min_sentences:
            yield from ((sentence, module) for sentence in sentences)


def split(docstring: str) -> Iterator[str]:
    """Yield the English sentences of one docstring, white space made single."""
    for paragraph in _PARAGRAPH.split(docstring):
        if ">>>" not in paragraph:
            yield from filter(_is_english, _SENTENCE.split(" ".join(paragraph.split())))


def _is_english(text: str) -> bool:
    if not (text[:1].isupper() and text.endswith((".", "!", "?"))):
        return False
    letters = sum(map(str.isalpha, text)) + text.count(" ")
    return MIN_WORDS <= len(text.split()) <= MAX_WORDS and letters >= MIN_LETTERS * len(text)


def _sources(folder: Path) -> list[Path]:
    """Return the Python files, those of tests last: many systems leave them out."""
    paths = {path: set(path.relative_to(folder).parts) for path in folder.rglob("*.py")}
    own = [path for path, parts in paths.items() if not parts & NOT_STDLIB]
    return sorted(own, key=lambda path: (bool(paths[path] & TESTS), path.as_posix()))


def _docstrings(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes, in code that is not ours
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the library's tests hold broken files on purpose
        return
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, DOCUMENTED):
            yield ast.get_docstring(node) or ""
        # Only statements can hold definitions: expressions, most of a tree, are left unvisited.
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        pending.extend(reversed(inner))
