import os
from pathlib import Path

import pytest

from dure.bulk.source import MARK_EVERY, check_unchanged, scan
from dure.errors import ValidationError
from tests.unit.bulk.rows import json_lines, parquet, texts


def test_rows_of_a_parquet_file_are_in_its_footer(tmp_path: Path) -> None:
    source = scan(parquet(tmp_path / "in.parquet", texts(0, 7)))

    assert source.num_rows == 7
    assert source.files[0].digest.startswith("footer sha256:")


def test_json_lines_are_counted_and_places_in_them_kept(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "in.jsonl", texts(0, 2 * MARK_EVERY + 1))
    (file,) = scan(path).files

    lines = path.read_bytes().splitlines(keepends=True)
    assert file.num_rows == len(lines)
    assert file.marks == [0, sum(map(len, lines[:MARK_EVERY])), sum(map(len, lines[: 2 * MARK_EVERY]))]


def test_a_folder_is_its_files_by_name_without_those_that_are_not_meant(tmp_path: Path) -> None:
    parquet(tmp_path / "b.parquet", texts(3, 5))
    parquet(tmp_path / "a.parquet", texts(0, 3))
    (tmp_path / "_map.json").write_text("{}", encoding="utf-8")
    (tmp_path / ".hidden").write_text("", encoding="utf-8")

    assert [(Path(file.path).name, file.num_rows) for file in scan(tmp_path).files] == [
        ("a.parquet", 3),
        ("b.parquet", 2),
    ]


def test_a_run_of_rows_is_cut_where_files_end(tmp_path: Path) -> None:
    for name, values in {"a": texts(0, 3), "b": [], "c": texts(3, 10)}.items():
        parquet(tmp_path / f"{name}.parquet", values)
    source = scan(tmp_path)

    runs = [(Path(run.file.path).stem, run.first, run.num_rows) for run in source.runs(2, 5)]

    assert runs == [("a", 2, 1), ("c", 0, 2)]
    assert list(source.runs(4, 4)) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "nothing"),
        (["a.csv"], ".csv"),
        (["a.jsonl", "b.parquet"], ".jsonl, .parquet"),
        (["README"], "files without a suffix"),
    ],
)
def test_what_is_no_input_is_named(names: list[str], told: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(ValidationError, match=f"found {told}$"):
        scan(tmp_path)


def test_what_is_not_there_or_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there is no file or folder"):
        scan(tmp_path / "nowhere.parquet")
    (tmp_path / "in.parquet").write_bytes(b"x")
    with pytest.raises(ValidationError, match="no Parquet file"):
        scan(tmp_path / "in.parquet")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(ValidationError, match="'inner'"):
        scan(tmp_path / "folder")


def test_an_empty_line_is_refused_unless_it_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b"}\n', encoding="utf-8")
    with pytest.raises(ValidationError, match="line 2: empty"):
        scan(path)
    path.write_text('{"text": "a"}\n\n', encoding="utf-8")
    assert scan(path).num_rows == 1


def test_a_file_that_was_written_since_is_not_read_on(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", texts(0, 7))
    (file,) = scan(path).files
    check_unchanged(file)

    parquet(path, texts(1, 8))
    with pytest.raises(ValidationError, match="was written while"):
        check_unchanged(file)
    os.unlink(path)
    with pytest.raises(ValidationError, match="cannot be read here"):
        check_unchanged(file)
