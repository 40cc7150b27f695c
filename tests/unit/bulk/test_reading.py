import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dure.bulk.part import Part, Parts
from dure.bulk.reading import Reader
from dure.bulk.source import scan
from dure.errors import ValidationError
from tests.unit.bulk.rows import json_lines, parquet, texts


@pytest.mark.parametrize("part_rows", [1, 3, 7, 1000, 4999])
@pytest.mark.parametrize("row_group_size", [None, 700])
def test_parts_in_any_order_are_the_rows_of_the_input(
    part_rows: int, row_group_size: int | None, tmp_path: Path
) -> None:
    num_rows = 3000 if part_rows > 3 else 20
    parquet(tmp_path / "a.parquet", texts(0, num_rows // 3), row_group_size)
    parquet(tmp_path / "b.parquet", texts(num_rows // 3, num_rows), row_group_size)
    reader = Reader(scan(tmp_path), "text")
    parts = list(Parts(num_rows, part_rows).every())

    for order in (parts, random.Random(part_rows).sample(parts, len(parts))):
        for part in order:
            documents = reader.read(part)
            assert documents.texts == texts(part.start, part.stop)
            assert documents.ids == [str(row) for row in range(part.start, part.stop)]
    reader.close()


def test_rows_of_json_lines_from_any_place(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", texts(0, 1500))
    (tmp_path / "b.jsonl").write_text('\ufeff{"id": "mine", "text": "last"}', encoding="utf-8")
    reader = Reader(scan(tmp_path), "text")

    documents = reader.read(Part(0, 1200, 1501))

    assert documents.texts == [*texts(1200, 1500), "last"]
    assert documents.ids == [*map(str, range(1200, 1500)), "mine"]


def test_columns_are_fields_by_name_and_tags_otherwise(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", None], "review": ["good", "bad"], "stars": [5, 1]})
    pq.write_table(table, tmp_path / "in.parquet")
    source = scan(tmp_path / "in.parquet")

    documents = Reader(source, "review").read(Part(0, 0, 2))

    assert documents.texts == ["good", "bad"]
    assert documents.ids == ["a", "1"]
    assert [document.tags for document in documents] == [{"stars": 5}, {"stars": 1}]
    with pytest.raises(ValidationError, match=r"part 0 \(rows 0 to 1\) cannot be read: .*no column 'text'"):
        Reader(source, "text").read(Part(0, 0, 2))


def test_a_line_that_is_no_document_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n{"txet": "b"}\n', encoding="utf-8")

    with pytest.raises(ValidationError, match=r"line 2\.txet: a Document has no field 'txet'"):
        Reader(scan(path), "text").read(Part(0, 0, 2))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", texts(0, 5000))
    source = scan(path)
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(1996)
    path.write_bytes(data)

    with pytest.raises(ValidationError, match="is damaged"):
        Reader(source, "text").read(Part(0, 0, 5000))
