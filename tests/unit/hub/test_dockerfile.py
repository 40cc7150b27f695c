"""What stands in a Dockerfile, and what cannot be written into one."""

import re
from typing import Any

import pytest

from dure.errors import ValidationError
from dure.hub.dockerfile import BASES, Dockerfile, check_arguments, check_image, check_line, dockerignore, quoted

ABOUT = {"title": "SentenceEncoder", "image": "sentence-encoder", "version": "0.1.0"}


def instructions(**fields: Any) -> list[str]:
    text = Dockerfile(**{**ABOUT, **fields}).render()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines() if line]


def test_two_stages_from_one_base_and_nobody_s_user_at_the_end() -> None:
    lines = instructions()
    assert lines[0] == "ARG BASE=python:3.11-slim"
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    last = lines[lines.index("FROM ${BASE}") :]
    assert not [line for line in last if " pip " in line], "the last stage installs nothing"
    assert last.index("USER 10001:10001") < [line.startswith("ENTRYPOINT") for line in last].index(True)


def test_requirements_are_installed_before_the_code_is_there() -> None:
    lines = instructions()
    order = [
        "COPY requirements*.txt wheels*",
        "RUN if ",
        "RUN python -m pip",
        "COPY requirements*.txt *.whl",
        "COPY . ",
    ]
    assert [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in order] == sorted(
        next(i for i, line in enumerate(lines) if line.startswith(start)) for start in order
    )


def test_neither_builder_is_needed_more_than_the_other() -> None:
    text = Dockerfile(**ABOUT).render()
    assert "--mount" not in text
    assert "syntax=" not in text


@pytest.mark.parametrize(("device", "name", "index"), [("cpu", "Dockerfile", True), ("gpu", "Dockerfile.gpu", False)])
def test_pytorch_comes_from_where_the_device_s_is(device: str, name: str, index: bool) -> None:
    assert Dockerfile(**ABOUT, device=device).name == name
    assert ("ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu" in instructions(device=device)) is index
    assert any("NVIDIA_DRIVER_CAPABILITIES" in line for line in instructions(device=device)) is not index


@pytest.mark.parametrize(
    ("base", "told"), [("slim", BASES["slim"]), ("nvidia", BASES["nvidia"]), ("x/y@sha256:0", "x/y@sha256:0")]
)
def test_bases_have_short_names(base: str, told: str) -> None:
    assert instructions(base=base)[0] == f"ARG BASE={told}"


def test_what_a_person_wrote_stays_between_its_quotes() -> None:
    (label,) = [line for line in instructions(description='a "b" \\ $HOME ${X}') if line.startswith("LABEL")]
    assert r'description="a \"b\" \\ \$HOME \${X}"' in label
    assert quoted("plain") == "plain"


@pytest.mark.parametrize("field", ["title", "image", "version", "description", "url", "base"])
@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\u2028", "\x00", "\ud800"])
def test_a_second_line_would_be_an_instruction_of_its_own(field: str, end: str) -> None:
    with pytest.raises(ValidationError, match=f"^{field}: one line of text"):
        Dockerfile(**{**ABOUT, field: f"x{end}RUN evil"})


@pytest.mark.parametrize("name", ["", "-f", "a b", "a;b", "$(x)", "../x", "a" + "'"])
def test_what_is_no_image_s_name(name: str) -> None:
    with pytest.raises(ValidationError, match="is no image's name"):
        check_image("tag", name)


def test_build_arguments() -> None:
    check_arguments({"TORCH_INDEX": "", "A1": "b=c d"})
    with pytest.raises(ValidationError, match="'A B' is no name of an argument"):
        check_arguments({"A B": ""})
    with pytest.raises(ValidationError, match="build-arg A: one line of text"):
        check_arguments({"A": "b\nRUN evil"})
    assert check_line("x", "두레 🙂") == "두레 🙂"


def test_an_unknown_device() -> None:
    with pytest.raises(ValidationError, match=r"device: one of cpu, gpu, not 'gpuu'\. Did you mean 'gpu'"):
        Dockerfile(**ABOUT, device="gpuu")


def test_secrets_and_scratch_are_left_at_home() -> None:
    assert {".*", "tests", "**/__pycache__"} <= set(dockerignore().splitlines())
