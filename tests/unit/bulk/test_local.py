from pathlib import Path

import pytest

from dure.bulk.job import Job, MapSpec
from dure.bulk.local import num_under_way
from dure.bulk.source import Source
from dure.executor.base import Executor
from dure.spec import ExecutorSpec
from tests.unit.bulk.rows import output


@pytest.mark.parametrize(
    ("replicas", "part_rows", "count"),
    [(1, 10_000, 3), (8, 10_000, 3), (64, 10_000, 4), (1, 100, 4), (8, 100, 18)],
)
def test_parts_under_way_keep_replicas_busy_and_memory_small(
    replicas: int, part_rows: int, count: int, tmp_path: Path
) -> None:
    job = Job(
        source=Source([]),
        folder=output(tmp_path),
        executor=ExecutorSpec(uses=Executor, replicas=replicas),
        on="/",
        spec=MapSpec(part_rows=part_rows, request_size=100),
    )

    assert num_under_way(job) == count
