"""What is made of an engine's words: lines, reasons, layers. The engine itself is asked in tests/e2e/test_images.py."""

import re
from typing import Any

import pytest

from dure.hub.build import Order, _layers, _lines, _why
from dure.hub.engine import EngineFailure

ORDER = Order(tag="t", dockerfile="Dockerfile", base="python:3.11-slim")
FROM = ["Step 1/9 : ARG BASE=python:3.11-slim", "Step 2/9 : FROM ${BASE} AS build"]
RUN = [*FROM, "Step 3/9 : RUN python -m pip install -r requirements.txt"]


def test_lines_of_both_builders() -> None:
    messages: list[dict[str, Any]] = [
        {"stream": "Step 1/2 : FROM x\n"},
        {"stream": "\n"},
        {"status": "Pulling fs layer", "id": "abc", "progressDetail": {}},
        {"status": "Downloading", "id": "abc", "progressDetail": {"current": 1}},
        {"aux": {"ID": "sha256:1"}},
        {"stream": "a\nb\n"},
    ]
    assert list(_lines(messages)) == ["Step 1/2 : FROM x", "abc: Pulling fs layer", "a", "b"]
    with pytest.raises(EngineFailure, match="no luck"):
        list(_lines([{"error": "no luck", "errorDetail": {}}]))


@pytest.mark.parametrize(
    ("lines", "reason", "told"),
    [
        (FROM, "manifest for python:3.11-slim not found: manifest unknown", "cannot be pulled: .*name another: --base"),
        (
            FROM,
            "Get https://registry-1.docker.io/v2/: dial tcp: lookup x: no such host",
            "'python:3.11-slim' is not on",
        ),
        (FROM, "pull access denied for x, repository does not exist or may require 'docker login'", "docker load"),
        (
            [*RUN, "ERROR: No matching distribution found for torhc==1.0"],
            "The command returned a non-zero code: 1",
            r"pip finds no torhc==1\.0\..*--wheels FOLDER",
        ),
        (
            [*RUN, "OSError: [Errno 28] No space left on device"],
            "returned a non-zero code: 1",
            "the disk is full.*docker",
        ),
        (RUN, "write /x: no space left on device", "the disk is full"),
        (
            [*RUN, " ---> abc", "boom"],
            "returned a non-zero code: 3",
            r"at step 3 of 9 \(RUN python.*code: 3\n.*\n  boom$",
        ),
        (RUN, "dial tcp: no such host", "the build failed at step 3"),
    ],
)
def test_why(lines: list[str], reason: str, told: str) -> None:
    assert re.search(told, _why(reason, lines, ORDER), re.DOTALL), _why(reason, lines, ORDER)


def test_layers_are_told_from_the_base_up_by_their_instruction() -> None:
    history = [
        {"Size": 0, "CreatedBy": "ENV X=1"},
        {"Size": 5, "CreatedBy": "/bin/sh -c #(nop) COPY dir:abc in /opt "},
        {"Size": 7, "CreatedBy": "", "Comment": "Imported from -"},
    ]
    assert [(one.size_bytes, one.made_by) for one in _layers(history)] == [
        (7, "Imported from -"),
        (5, "COPY dir:abc in /opt"),
    ]
