"""Files of rows for tests."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dure.bulk.folder import OutputFolder
from dure.bulk.part import Parts


def texts(start: int, stop: int) -> list[str]:
    return [f"text {i}" for i in range(start, stop)]


def parquet(path: Path, values: Sequence[str], row_group_size: int | None = None) -> Path:
    pq.write_table(pa.table({"text": list(values)}), path, row_group_size=row_group_size)
    return path


def json_lines(path: Path, values: Sequence[str]) -> Path:
    path.write_text("".join(f'{{"text": "{value}"}}\n' for value in values), encoding="utf-8")
    return path


def output(path: Path, num_rows: int = 10, part_rows: int = 5) -> OutputFolder:
    path.mkdir(exist_ok=True)
    return OutputFolder(path, Parts(num_rows, part_rows))
