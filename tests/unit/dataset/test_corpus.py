"""The sentences that measurements and examples use: from this Python's own library."""

import subprocess
import sys
from pathlib import Path

import pytest

from dure.dataset import corpus

SOURCE = '''"""A module with one sentence in it."""

def function():
    """Return the answer to everything.  It takes
    some time to compute!  Too short.

    no sentence begins in lower case here.

    >>> function() is what an example looks like.
    42
    """

    class Inner:
        "Here is a class inside of it (which counts, too)."

    if True:
        def conditional():
            """A function in a branch is found as well."""

async def other():
    """Return the answer to everything."""
    "This text is no docstring at all."
'''
SENTENCES = [
    "A module with one sentence in it.",
    "Return the answer to everything.",
    "It takes some time to compute!",
    "Here is a class inside of it (which counts, too).",
    "A function in a branch is found as well.",
]


def test_sentences_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(SOURCE, encoding="utf-8")
    assert list(corpus.distinct(tmp_path)) == SENTENCES
    assert corpus.read(2, tmp_path) == SENTENCES[:2]
    assert corpus.read(0, tmp_path) == []


def test_too_few_is_an_error_that_says_how_many_there_are(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(SOURCE, encoding="utf-8")
    with pytest.raises(LookupError, match=r"6 sentences were asked for, .* hold only 5\."):
        corpus.read(6, tmp_path)


def test_tests_come_last_and_installed_packages_not_at_all(tmp_path: Path) -> None:
    for folder in ("a/test", "b", "site-packages/c"):
        (tmp_path / folder).mkdir(parents=True)
        text = f'"""This is the sentence of {folder.replace("/", " ")}."""'
        (tmp_path / folder / "module.py").write_text(text, encoding="utf-8")
    assert list(corpus.distinct(tmp_path)) == ["This is the sentence of b.", "This is the sentence of a test."]


def test_broken_and_odd_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""This file is broken further down."""\ndef', encoding="utf-8")
    (tmp_path / "b.py").write_bytes(b"\x00\xff")
    (tmp_path / "c.py").write_text('"""An escape \\( that Python warns of."""', encoding="utf-8")
    assert list(corpus.distinct(tmp_path)) == ["An escape \\( that Python warns of."]


def test_ten_thousand_different_sentences_the_same_each_time() -> None:
    found = corpus.read(10_000)
    assert len(set(found)) == 10_000
    assert all(5 <= len(text.split()) <= 60 and text == " ".join(text.split()) for text in found)
    code = "from dure.dataset import corpus; print('\\n'.join(corpus.read(500)))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_sentences_by_module(tmp_path: Path) -> None:
    for name, count in (("large.py", 3), ("small.py", 1), ("package/a.py", 2), ("package/tests/b.py", 9)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        told = " ".join(f"This is sentence {'abcdefghi'[at]} of the file called {name}." for at in range(count))
        (tmp_path / name).write_text(f'"""{told}"""\n', encoding="utf-8")
    found = list(corpus.labelled(tmp_path, min_sentences=2))
    assert [module for _, module in found] == ["large"] * 3 + ["package"] * 2
    assert found[0] == ("This is sentence a of the file called large.py.", "large")
