from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli
from tests.unit.export.exported import IMAGE, flow_file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["plan", *map(str, words)], prog_name="dure")


def test_who_goes_where(tmp_path: Path) -> None:
    path = flow_file(tmp_path, replicas=2, max_replicas=5, gpus=1, max_memory="2GiB")
    lines = run(path, "--backend", "kubernetes").stdout.splitlines()
    encoder = next(line for line in lines if line.startswith("flow-encoder "))
    assert "2 to 5" in encoder
    assert IMAGE in encoder
    assert "nvidia.com/gpu=1" in encoder
    assert "flow-encoder:8080" in encoder
    assert any(line.startswith("flow-gateway ") for line in lines)
    assert "1 HorizontalPodAutoscaler" in lines[-1]


def test_an_image_that_stands_for_code(tmp_path: Path) -> None:
    path = flow_file(tmp_path, uses="words.py")
    assert "own:1" in run(path, "--backend", "kubernetes", "--image", "encoder=own:1").stdout
    assert "dure hub build" in run(path, "--backend", "kubernetes").output


@pytest.mark.parametrize(
    "words",
    [("--backend", "kubernetes", "--address", "auto"), ("--image", "encoder=own:1"), ("--backend", "kubernets")],
)
def test_what_means_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(flow_file(tmp_path), *words)
    assert done.exit_code
    assert words[0] in done.output
