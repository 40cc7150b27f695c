"""Every Python block of README and docs runs.

The blocks of a page run as one program, in an empty folder, with the line numbers of the page.
A comment right before a block changes that: `<!-- not run: reason -->` leaves it out,
`<!-- file: name -->` writes it to that file instead.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"^(?:<!-- (?P<order>not run|file): *(?P<text>.*?) *-->\n+)?"
    r"```(?P<kind>[\w-]*)[^\n]*\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
TIMEOUT_S = 240


def unpack(page: str, folder: Path) -> str:
    """Write the page's files into `folder`; return its program, each block on its lines."""
    assert not re.search(r"^[ >]+```python", page, re.MULTILINE), "an indented block would not run"
    program = ""
    for block in BLOCK.finditer(page):
        if block["order"] == "file":
            (folder / block["text"]).write_text(block["code"], encoding="utf-8")
        elif block["order"] == "not run":
            assert block["text"], f"'not run' without a reason before: {block['code']:.60}"
        elif block["kind"] == "python":
            line = page.count("\n", 0, block.start("code"))
            program += "\n" * (line - program.count("\n")) + block["code"]
    return program


@pytest.mark.slow  # all of them take minutes; `make check` runs them
@pytest.mark.timeout(TIMEOUT_S + 10)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    program = unpack(page.read_text(encoding="utf-8"), tmp_path)
    (tmp_path / "page.py").write_text(program, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, f"{page.name}, lines as in the page:\n{run.stdout}\n{run.stderr}"
