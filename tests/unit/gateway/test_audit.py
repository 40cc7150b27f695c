"""The lines that are written down."""

import asyncio
import json
from pathlib import Path

import pytest

from dure.errors import StartFailed
from dure.gateway.audit import Audit, Entry


def entry(endpoint: str = "/encode") -> Entry:
    return Entry(key="ab", address="::1", protocol="http", endpoint=endpoint, rows=1, outcome="ok", seconds=0.5)


async def test_lines_are_there_soon_and_behind_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("before\n")
    audit = Audit(path)
    audit.write(entry("/a\nb" + "x" * 1000))
    await asyncio.sleep(1.1)
    before, line = path.read_text().splitlines()
    assert before == "before"
    told = json.loads(line)
    assert len(told["endpoint"]) == 200
    assert list(told) == ["at", "key", "address", "protocol", "endpoint", "rows", "outcome", "seconds"]
    audit.close()


async def test_many_are_not_kept_for_long(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for _ in range(1500):
        audit.write(entry())
    assert len(path.read_text().splitlines()) == 1000
    audit.close()
    assert len(path.read_text().splitlines()) == 1500


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="audit_file"):
        Audit(tmp_path / "no" / "folder")
