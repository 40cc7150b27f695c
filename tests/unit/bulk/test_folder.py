import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dure import DocumentArray
from dure.bulk.folder import OutputFolder, claimed
from dure.bulk.manifest import MANIFEST, Manifest, manifest_of
from dure.bulk.part import Part
from dure.bulk.source import scan
from dure.document.document import Document
from dure.errors import BackendError, SpecError, ValidationError
from dure.executor.base import Executor
from dure.log import get_logger
from dure.spec import ExecutorSpec
from tests.unit.bulk.rows import json_lines, output, texts

LEFT = (".0123456789abcdef.tmp", ".part-3.begun")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    source = scan(json_lines(tmp_path / "in.jsonl", texts(0, 10)))
    asked = {"on": "/", "parameters": {}, "text": "text", "part_rows": 5, "num_parts": 2}
    return manifest_of(source, ExecutorSpec(uses=Executor), asked)


@contextlib.contextmanager
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    logger = get_logger("map")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


def documents(count: int) -> DocumentArray:
    return DocumentArray(Document(text) for text in texts(0, count))


def write(folder: OutputFolder, number: int, count: int = 5) -> None:
    folder.write(Part(number, 5 * number, 5 * number + 5), documents(count))


def test_parts_that_are_written_are_missing_no_more(tmp_path: Path) -> None:
    folder = output(tmp_path)
    assert [part.number for part in folder.missing()] == [0, 1]

    write(folder, 1)

    assert [part.number for part in folder.missing()] == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["part-00001.parquet"]


def test_the_end_is_that_every_part_is_there_with_all_its_rows(tmp_path: Path) -> None:
    folder = output(tmp_path)
    write(folder, 0)
    with pytest.raises(ValidationError, match=r"part 1 \(rows 5 to 9\)"):
        folder.verify()

    write(folder, 1, count=4)
    with pytest.raises(ValidationError, match=r"part-00001.parquet has 4 rows, not the 5 of part 1"):
        folder.verify()

    write(folder, 1)
    folder.verify()


def test_parts_with_other_columns_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = output(tmp_path)
    write(folder, 0)
    tagged = documents(5)
    tagged[2].tags = {"a": 1}
    folder.write(Part(1, 5, 10), tagged)

    with heard(caplog):
        folder.verify()

    assert "part-00000.parquet has id: string, text: string;" in caplog.text
    assert "part-00001.parquet has id: string, text: string, tags: string." in caplog.text


def test_whoever_begins_a_part_is_counted_until_it_is_written(tmp_path: Path) -> None:
    folder = output(tmp_path)
    part = Part(0, 0, 5)
    assert [folder.begin(part), folder.begin(part)] == [1, 2]

    write(folder, 0)

    assert folder.begin(part) == 1


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "gone", output(tmp_path)._parts)

    with pytest.raises(BackendError, match=r"part-00000.parquet cannot be written: No such file"):
        write(folder, 0)


def test_what_killed_runs_left_is_removed_and_nothing_else(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in LEFT:
        (out / name).touch()

    with claimed(out, manifest) as folder:
        write(folder, 0)
        assert not {path.name for path in out.iterdir()}.intersection(LEFT)
    with claimed(out, manifest) as folder:
        assert [part.number for part in folder.missing()] == [1]


def test_a_folder_is_one_runs_alone(manifest: Manifest, tmp_path: Path) -> None:
    again = claimed(tmp_path / "out", manifest)
    with claimed(tmp_path / "out", manifest), pytest.raises(SpecError, match="another `dure map`"), again:
        pass
    with claimed(tmp_path / "out", manifest):
        pass


def test_other_words_are_refused_and_nothing_is_touched(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claimed(out, manifest) as folder:
        write(folder, 0)
    before = {path: path.read_bytes() for path in out.iterdir()}

    with (
        pytest.raises(SpecError, match="on: '/' there, '/x' now"),
        claimed(out, msgspec.structs.replace(manifest, on="/x")),
    ):
        pass

    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_with_other_files_is_not_written_into(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"is not empty \('in.jsonl'\)"), claimed(tmp_path, manifest):
        pass
    assert not (tmp_path / MANIFEST).exists()
    with pytest.raises(SpecError, match="the output is a folder"), claimed(tmp_path / "in.jsonl", manifest):
        pass
