"""Progress as plain lines; what a terminal shows is tested with the command line."""

import pytest

from dure.client.progress import Progress


def test_the_last_line_is_the_tutorials(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(None) as progress:
        for _ in range(3):
            progress.advance(32, final=False)
            progress.advance(0, final=True)
    line = capsys.readouterr().err
    assert line.startswith("Working... 0:00:00 ")
    assert " 3 steps done in 0.0" in line
    assert "docs/s" in line
    assert "(96 documents)" in line


def test_lines_on_the_way_name_a_total_only_if_there_is_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dure.client.progress._LINE_EVERY_S", 0.0)
    for total, said in ((None, "Working... 1 steps"), (1000, "Working... 1 of 1,000 steps")):
        with Progress(total) as progress:
            progress.advance(32, final=True)
        assert capsys.readouterr().err.startswith(said)


def test_an_error_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), Progress(10):
        raise KeyError
    assert "0 steps done before it stopped in" in capsys.readouterr().err
