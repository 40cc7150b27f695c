import ast
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dure.errors import HubError, ValidationError
from dure.hub.scaffold import Scaffold, check_url, render, split_keywords, write

FILES = {
    "config.yml",
    "executor.py",
    "manifest.yml",
    "README.md",
    "requirements.txt",
    "tests/test_executor.py",
}
AWKWARD = "두레 🙂 'single' \"double\" # : - {braces} ${name} !!python/object \\n"


def scaffold(path: Path, **fields: Any) -> Scaffold:
    return Scaffold(path=path, **({"name": "SentenceEncoder"} | fields))


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_writes_every_file_and_a_dockerfile_only_when_asked(tmp_path: Path) -> None:
    written = write(scaffold(tmp_path / "plain"))
    write(scaffold(tmp_path / "boxed", dockerfile=True))

    assert tree(tmp_path / "plain") == FILES
    assert {str(path.relative_to(tmp_path / "plain")) for path in written} == FILES
    assert tree(tmp_path / "boxed") == FILES | {"Dockerfile", "Dockerfile.gpu", ".dockerignore"}


def test_settings_reach_yaml_unchanged(tmp_path: Path) -> None:
    files = render(scaffold(tmp_path, description=AWKWARD, keywords=("[x]", "여러 말"), url="https://example.org/#a"))

    config, manifest = yaml.safe_load(files["config.yml"]), yaml.safe_load(files["manifest.yml"])
    assert config == {
        "jtype": "SentenceEncoder",
        "with": {},
        "metas": {
            "name": "SentenceEncoder",
            "description": AWKWARD,
            "url": "https://example.org/#a",
            "keywords": ["[x]", "여러 말"],
            "py_modules": ["executor.py"],
        },
    }
    assert manifest["manifest_version"] == 1
    assert manifest["description"] == AWKWARD
    assert manifest["keywords"] == ["[x]", "여러 말"]
    assert AWKWARD in files["README.md"]


def test_what_was_left_blank_is_blank_in_the_manifest_and_absent_from_config(
    tmp_path: Path,
) -> None:
    files = render(scaffold(tmp_path))

    assert set(yaml.safe_load(files["config.yml"])["metas"]) == {"name", "py_modules"}
    assert yaml.safe_load(files["manifest.yml"])["keywords"] == []


def test_files_are_utf8_on_any_locale(tmp_path: Path) -> None:
    write(scaffold(tmp_path / "b", description=AWKWARD))

    assert AWKWARD.encode() in (tmp_path / "b" / "README.md").read_bytes()


def test_nothing_of_a_template_is_left_over(tmp_path: Path) -> None:
    names = "BASE|DURE|HF_HUB_OFFLINE|PATH|REQUIREMENTS|TORCH_INDEX"
    for name, text in render(scaffold(tmp_path, dockerfile=True)).items():
        assert not re.findall(rf"\$(?!\{{(?:{names})[}}:]|[?)])", text), name


def test_python_files_are_python_without_what_a_person_wrote(tmp_path: Path) -> None:
    files = render(scaffold(tmp_path, description='"""; import os'))

    for name in ("executor.py", "tests/test_executor.py"):
        ast.parse(files[name])
        assert "import os" not in files[name]


def test_what_was_said_of_the_bundle_stands_in_its_dockerfiles(tmp_path: Path) -> None:
    files = render(scaffold(tmp_path, dockerfile=True, base="nvidia", description="says $HOME"))
    assert files["Dockerfile"].count("python:3.11-slim")
    assert "ARG BASE=nvcr.io/nvidia/pytorch" in files["Dockerfile.gpu"]
    for name in ("Dockerfile", "Dockerfile.gpu"):
        assert 'description="says \\$HOME"' in files[name]
        assert 'title="sentence-encoder"' in files[name]


@pytest.mark.parametrize(
    "name",
    [
        *("", "sentenceEncoder", "Sentence Encoder", "Sentence-Encoder", "Sentence_Encoder"),
        *("1Encoder", "인코더", "Encoder\n", "../Encoder", "None", "Executor", "E" * 65),
    ],
)
def test_refuses_a_name_that_is_no_camel_case_class(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match=r"name: .* For example"):
        scaffold(tmp_path, name=name)


@pytest.mark.parametrize("name", ["E", "NER", "Bert2Vec", "SentenceEncoder", "E" * 64])
def test_takes_camel_case_names(tmp_path: Path, name: str) -> None:
    assert scaffold(tmp_path, name=name).name == name


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\x00b", "a\ud800b"])
@pytest.mark.parametrize("field", ["description", "keywords", "url", "path"])
def test_refuses_line_breaks_and_control_characters(tmp_path: Path, field: str, bad: str) -> None:
    path = tmp_path / bad if field == "path" else tmp_path
    value: Any = ("ok", bad) if field == "keywords" else bad
    fields = {} if field == "path" else {field: value}

    with pytest.raises(ValidationError, match=f"^{field}: one line of text"):
        scaffold(path, **fields)


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "javascript:alert(1)", "https:///x"])
def test_refuses_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValidationError, match=r"https?://"):
        check_url(url)


def test_lists_every_file_in_the_way_and_changes_none(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("mine")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_executor.py").write_text("mine too")
    os.symlink("nowhere", tmp_path / "README.md")
    (tmp_path / "notes.txt").write_text("not in the way")

    with pytest.raises(HubError) as caught:
        write(scaffold(tmp_path))

    for name in ("config.yml", "tests/test_executor.py", "README.md"):
        assert str(tmp_path / name) in str(caught.value)
    assert "notes.txt" not in str(caught.value)
    assert (tmp_path / "config.yml").read_text() == "mine"
    assert tree(tmp_path) == {"config.yml", "tests/test_executor.py", "notes.txt"}
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_with_other_files_is_fine(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    write(scaffold(tmp_path))

    assert tree(tmp_path) == FILES | {"notes.txt"}


def test_a_file_where_the_folder_goes_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(HubError, match=r"in the way:\n  .*taken\n"):
        write(scaffold(tmp_path / "taken" / "deeper"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir(mode=0o500)

    with pytest.raises(HubError, match=r"test_executor\.py: cannot be written: Permission denied"):
        write(scaffold(tmp_path))

    assert tree(tmp_path) == set()


def test_a_name_too_long_for_the_file_system_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="cannot be written: File name too long"):
        write(scaffold(tmp_path / ("x" * 300)))


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("", ()),
        (" , ", ()),
        ("encoder text", ("encoder", "text")),
        ("sentence encoder, 글", ("sentence encoder", "글")),
    ],
)
def test_keywords_are_split_by_commas_or_by_spaces(text: str, keywords: tuple[str, ...]) -> None:
    assert split_keywords(text) == keywords


def test_the_image_has_a_name_that_docker_takes(tmp_path: Path) -> None:
    assert scaffold(tmp_path).image == "sentence-encoder"
    assert re.fullmatch(r"[a-z0-9-]+", scaffold(tmp_path, name="BERT2Vec").image)
