"""The commands of the page on training and predicting, as they stand there, in both languages' page the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "train-and-predict.md"
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return [(found["file"] or "", found["kind"], found["code"]) for found in BLOCK.finditer(page.read_text("utf-8"))]


def test_both_pages_have_the_same_programs() -> None:
    assert blocks(PAGE) == blocks(ROOT / "docs" / "ko" / PAGE.name)


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "DURE_HOME": str(tmp_path / "home")}
    said = {}
    for file, kind, code in blocks(PAGE):
        if file:
            (tmp_path / file).write_text(code, encoding="utf-8")
        elif kind == "bash" and not code.startswith("pip "):
            done = subprocess.run(
                ["bash", "-em", "-c", code],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert not done.returncode, f"{code}\n{done.stdout}\n{done.stderr}"
            said[code.split("\n")[0].rpartition("/")[2]] = done.stdout
    assert "modules@1: accuracy 0." in said["python make_data.py"]
    assert '"text": "Maria Lopez"' in said['dure predict modules "Wait until the task is done or the timeout passes."']
    assert "'부산', 'LOC'" in said["python ask.py"]
    assert "modules@1" in said["dure models list"]
    assert "'type': 'PER'" in said["python flow.py"]
    assert "done 100%" in said["dure bib up --train --predict --port 20001 &"]
    assert "1. Training" in said["dure bench bib --device cpu --quick"]
    assert {path.suffix for path in (tmp_path / "pictures").iterdir()} == {".png", ".html"}
    assert len((tmp_path / "steps.jsonl").read_text(encoding="utf-8").splitlines()) > 3
