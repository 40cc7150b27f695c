from pathlib import Path

import msgspec
import pytest

from dure.bulk.manifest import MANIFEST, Manifest, manifest_of, read_manifest
from dure.bulk.source import scan
from dure.errors import SpecError, ValidationError
from dure.executor.base import Executor
from dure.spec import ExecutorSpec
from tests.unit.bulk.rows import parquet, texts

ASKED = {"on": "/encode", "parameters": {}, "text": "text", "part_rows": 5, "num_parts": 2}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    source = scan(parquet(tmp_path / "in.parquet", texts(0, 7)))
    return manifest_of(source, ExecutorSpec(uses=Executor, uses_with={"dim": 8}), ASKED)


def test_what_is_written_is_read_again(manifest: Manifest, tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None

    manifest.write(tmp_path)

    assert read_manifest(tmp_path) == manifest
    assert manifest.uses == "dure.executor.base.Executor"


def test_the_same_words_differ_in_nothing(manifest: Manifest) -> None:
    assert manifest.differences(msgspec.structs.replace(manifest)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"on": "/other"}, "on: '/encode' there, '/other' now"),
        ({"part_rows": 1000}, "part_rows: 5 there, 1,000 now"),
        ({"uses_with": {"dim": 9}}, "uses_with: {'dim': 8} there, {'dim': 9} now"),
        ({"files": []}, "input: 1 files (in.parquet) there, 0 files () now"),
    ],
)
def test_each_difference_is_named(change: dict[str, object], told: str, manifest: Manifest) -> None:
    assert manifest.differences(msgspec.structs.replace(manifest, **change)) == [told]


def test_a_file_that_changed_is_named_with_what_changed(manifest: Manifest, tmp_path: Path) -> None:
    source = scan(parquet(tmp_path / "in.parquet", texts(1, 8)))
    now = manifest_of(source, ExecutorSpec(uses=Executor, uses_with={"dim": 8}), ASKED)

    found = manifest.differences(now)

    assert all(one.startswith("input file in.parquet: ") for one in found)
    assert any("digest" in one for one in found)


def test_arguments_that_cannot_be_written_down_are_refused(tmp_path: Path) -> None:
    source = scan(parquet(tmp_path / "in.parquet", texts(0, 7)))

    with pytest.raises(SpecError, match=r"uses_with.*written down"):
        manifest_of(source, ExecutorSpec(uses=Executor, uses_with={"model": object()}), ASKED)


def test_one_that_is_damaged_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"format": 1', encoding="utf-8")

    with pytest.raises(ValidationError, match="cannot be read"):
        read_manifest(tmp_path)
