import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dure.cli.bar import bar
from dure.cli.main import cli
from dure.cli.train import Course
from dure.learning.progress import Progress


def run(*arguments: object) -> str:
    found = CliRunner().invoke(cli, list(map(str, arguments)))
    assert found.exit_code != 0
    return found.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model-name", "m", "--train-rate", "2"], "train_rate=2.0"),
        (["--model-name", "m", "--epochs", "0"], "epochs=0"),
        (["--model-name", "../m"], "'../m'"),
        (["--model-name", "m", "--device", "gpu:99"], "gpu(99)"),
        (["--model-name", "m", "--format", "conll"], "format: 'conll' is none for 'tc'"),
        (["--model-name", "m", "--text-column", "words"], "there is no 'words'"),
        (["--model-name", "m", "--encoding", "utf-9"], "encoding: 'utf-9'"),
        (["--model-name", "m", "--train-rate", "0.5", "--result", "/no/such/folder/a"], "No such file"),
        (["--model-name", "m", "--shares", "2"], "shares=2 is for encoders"),
        (["--model-name", "m", "--workers", "2"], "workers: a model trained from nothing is small"),
        (["--model-name", "m", "--encoder", "e", "--workers", "0"], "workers=0 is not a whole number from 1"),
        (["--model-name", "m", "--encoder", "e", "--workers", "1", "--threads", "0"], "threads=0 is not"),
        (["--model-name", "m", "--encoder", "e", "--workers", "3", "--shares", "2"], "workers=3 with shares=2"),
        (["--model-name", "m", "--encoder", "e", "--workers", "2", "--device", "gpu:1"], "each needs its own; say gpu"),
        (["--model-name", "m", "--encoder", "e", "--backend", "ray"], "--backend means nothing without --workers"),
        (["--model-name", "m", "--encoder", "e", "--workers", "1", "--address", "auto"], "say backend='ray'"),
        (["--model-name", "m", "--encoder", "e", "--workers", "1", "--backend", "ray"], "all of its nodes see"),
        (
            ["--model-name", "m", "--encoder", "no-such-encoder", "--workers", "1", "--train-rate", "0.5"],
            "no-such-encoder",
        ),
        ([], "--model-name"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, options: list[str], told: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tx\nb\ty\nc\tx\nd\ty\n", encoding="utf-8")
    assert told in run("train", "tc", path, *options)


def test_a_course_is_written_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    seen: list[tuple[int, int, str]] = []
    course = Course(file, lambda done, total, told: seen.append((done, total, told)))
    for step in (1, 2):
        course.tell(
            Progress(step=step, num_steps=4, epoch=1, loss=0.5, elapsed_time_s=step, note="half as many at once")
        )
    course.tell(Progress(step=3, num_steps=4, epoch=1, loss=0.25, score=0.75, elapsed_time_s=3))
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [(line["step"], line["share"], line["elapsed_time"]) for line in lines] == [
        (1, 0.25, 1),
        (2, 0.5, 2),
        (3, 0.75, 3),
    ]
    assert seen[-1] == (3, 4, "loss 0.2500 score 0.7500")
    assert capsys.readouterr().err.count("half as many at once") == 1


def test_a_bar_is_for_who_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("Working") as advance:
        advance(1, 2, "")
    assert capsys.readouterr() == ("", "")
    with bar("Working", shown=True) as advance:
        advance(1, 2, "told")
    told = capsys.readouterr()
    assert told.out == ""
    assert "Working" in told.err
    assert "1/2" in told.err
