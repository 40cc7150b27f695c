"""YAML as plain values, and where it is broken."""

from pathlib import Path

import pytest

from dure.errors import SpecError
from dure.executor.yaml_file import is_yaml_text, read_yaml


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "가.yml"
    path.write_text("jtype: 이름\nwith: {a: 1, b: 1.0, c: yes}\n", encoding="utf-8")
    assert read_yaml(path) == ({"jtype": "이름", "with": {"a": 1, "b": 1.0, "c": True}}, str(path))


def test_text() -> None:
    assert read_yaml("jtype: Flow") == ({"jtype": "Flow"}, "<text>")
    assert is_yaml_text("a: 1")
    assert not is_yaml_text("C:/flow.yml")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "3:2", "broken YAML"),
        ("a: 1\n\tb: 2\n", "2:1", r"cannot start any token|broken YAML"),
        ("a: 1\nb: 'x\n", "3:1", "broken YAML"),
        ("- 1\n- 2\n", "1", r"must be a mapping, such as `jtype: Flow`, not \[1, 2\]"),
        ("just text\n", "1", "must be a mapping"),
        ("a: !!python/object/apply:os.system ['true']\n", "1:4", "could not determine a constructor"),
        ("a: &x 1\nb: *y\n", "2:4", "undefined alias"),
        ("", "1", "must be a mapping.*None"),
        ("a:\n  b: 2001-99-99\n", "2:6", "'2001-99-99' is no timestamp"),
        ("a: 0x_\n", "1:4", "'0x_' is no int"),
        ("a: !!bool perhaps\n", "1:4", "'perhaps' is no bool"),
        ("a: " + "9" * 5000 + "\n", "1:4", "is no int"),
        ("a: 1\nb: " + "[" * 100_000 + "\n", "2", "more than 100 deep"),
        ("a: &a [*a]\n", "1", r"\*a stands within itself"),
        ("a: &a [x]\n" + "".join(f"{n}: &a [{'*a, ' * 9}]\n" for n in range(9)), "2", "stands within itself"),
        (
            "a: &a0 [x]\n" + "".join(f"b{n}: &a{n + 1} [{f'*a{n}, ' * 9}]\n" for n in range(9)),
            "6",
            "stand for more than 100,000 values",
        ),
    ],
)
def test_what_is_broken_is_told_with_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = tmp_path / "flow.yml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}:{place}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes("a: ä\n".encode("latin-1"))
    for name in ("nowhere.yml", "latin.yml", "."):
        with pytest.raises(SpecError, match="cannot be read"):
            read_yaml(tmp_path / name)


def test_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "값")
    values, _ = read_yaml("a: ['x ${{ ENV.A_NAME }} y', {b: '${{ENV.A_NAME}}'}]\nc: 1\n")
    assert values == {"a": ["x 값 y", {"b": "값"}], "c": 1}
    monkeypatch.delenv("A_NAME")
    with pytest.raises(SpecError, match="the environment has no variable 'A_NAME'"):
        read_yaml("a: ${{ ENV.A_NAME }}\n")
