from pathlib import Path
from typing import Any

import pytest

from dure.bulk.mapping import map_rows
from dure.errors import SpecError, ValidationError
from dure.executor.base import Executor
from tests.unit.bulk.rows import parquet, texts


def mapped(tmp_path: Path, **words: Any) -> Any:
    source = tmp_path / "in.parquet"
    if not source.exists():
        parquet(source, texts(0, 3))
    return map_rows(source, tmp_path / "out", **{"uses": Executor, "on": "/", **words})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"on": "encode"}, "on: 'encode' is no endpoint"),
        ({"backend": "rey"}, "Did you mean 'ray'?"),
        ({"address": "h:1"}, "address: 'h:1' means a Ray cluster"),
        ({"wait_for_resources": True}, "wait_for_resources: True means a Ray cluster"),
        ({"part_row": 5}, "Did you mean 'part_rows'?"),
        ({"part_rows": 0}, "part_rows"),
        ({"needs": ["a"]}, "map.needs"),
        ({"replicas": 0}, "replicas"),
        ({"parameters": {"a": object()}}, "parameters"),
        ({"backend": "ray", "max_call_s": 5}, "max_call_s: means nothing with backend='ray'"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_made(words: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises((SpecError, ValidationError)) as refused:
        mapped(tmp_path, **words)

    assert told in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_no_rows_are_no_parts_and_nobody_is_started(tmp_path: Path) -> None:
    parquet(tmp_path / "in.parquet", [])

    done = mapped(tmp_path, uses="no.such.Executor")

    assert (done.num_rows, done.num_parts) == (0, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".map.lock", "_map.json"]
