from pathlib import Path

import pytest
import yaml

from dure.errors import SpecError
from dure.export.files import MARK, write_files, yaml_text


def test_yaml_is_as_people_write_it() -> None:
    shared = {"a": 1}
    text = yaml_text({"z": shared, "b": shared, "text": "two\nlines\n"}, {"on": "on", "n": "1"})
    assert text == "z:\n  a: 1\nb:\n  a: 1\ntext: |\n  two\n  lines\n---\n'on': 'on'\nn: '1'\n"
    assert list(yaml.safe_load_all(text))[1] == {"on": "on", "n": "1"}


def test_an_export_is_written_over_an_earlier_one_and_takes_away_what_it_left(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.yaml": "a: 1\n", "b.yaml": "", "deep/c.yml": ""})
    (tmp_path / "own.yaml").write_text("own: 1\n", encoding="utf-8")
    assert write_files(tmp_path, {"a.yaml": "a: 2\n"}, stale=["*.yaml"]) == [tmp_path / "a.yaml"]
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["a.yaml", "own.yaml"]
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == f"{MARK}\na: 2\n"
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o644


def test_what_no_export_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"compose\.yaml: is there, and was not made by"):
        write_files(tmp_path, {"other.yaml": "", "compose.yaml": ""})
    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"]
