"""ARCHITECTURE.md's tree against the disk, both ways."""

import ast
import re

import pytest

from tests.house.sources import PACKAGE, ROOT, sources

HEADING = "## The tree"


def test_the_tree_matches_the_disk() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    block = re.search(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    tree = block[1] if block else ""
    told = dict(re.findall(r"^(\S+\.py) {2,}(\S.*)$", tree, re.MULTILINE))
    there = {
        source.path.relative_to(PACKAGE).as_posix(): ast.get_docstring(source.tree) or "?"
        for source in sources("src/dure")
        if source.path.name != "__init__.py"
    }
    missing = [f"{path}  {text.splitlines()[0]}" for path, text in there.items() if path not in told]
    stale = [path for path in told if path not in there]
    if missing or stale:
        lines = [
            f"ARCHITECTURE.md has one line per file of src/dure in a code block under '{HEADING}':",
            "path, two spaces, what it is. Missing, with the file's own first line to start from:",
            *missing,
            "There, but not on the disk:",
            *stale,
        ]
        pytest.fail("\n".join(lines), pytrace=False)
