"""The `dure` command as a person runs it: real processes, a real terminal, real signals."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

DURE = str(Path(sys.executable).with_name("dure"))
EXECUTOR = """
from dure import Executor, requests


class Shout(Executor):
    def __init__(self, mark: str = '!', times: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.end = mark * times

    @requests(on='/shout')
    def shout(self, docs, parameters, **kwargs):
        for doc in docs:
            doc.tags['parameters'] = parameters
            doc.text = doc.text.upper() + self.end

    @requests(on='/fail')
    def fail(self, docs, **kwargs):
        raise RuntimeError('the model is on fire')
"""

SLOW = """
import sys, time
from dure import Executor


class Slow(Executor):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        print('loading', file=sys.stderr, flush=True)
        time.sleep(600)
"""


def dure(*arguments: str, given: bytes = b"", where: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([DURE, *arguments], input=given, capture_output=True, timeout=50, cwd=where)


@contextlib.contextmanager
def started(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a process group of its own; end it if nobody else did."""
    with log.open("wb") as sink:
        process = subprocess.Popen([DURE, *arguments], stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def served(*arguments: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a `dure … up` until its banner names the port."""
    with started(*arguments, log=log) as process:
        banner = _wait_for(r"Local access:\s+\S+:(\d+)", process, log)
        yield process, int(banner[1])


def _wait_for(pattern: str, process: subprocess.Popen[bytes], log: Path) -> re.Match[str]:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8")
        if found := re.search(pattern, text):
            return found
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}:\n{text}")
        time.sleep(0.02)
    raise AssertionError(f"no {pattern!r} in:\n{log.read_text(encoding='utf-8')}")


def lines(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.decode().removesuffix("\n").split("\n")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    (path / "shout.py").write_text(EXECUTOR)
    return path


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """One Executor for all tests that only ask it something."""
    uses = ("executor", "up", str(folder / "shout.py"))
    settings = ("--uses-with", "mark=?", "--uses-with", "times=2", "--name", "shout")
    with served(*uses, *settings, log=folder / "log") as (_, found):
        yield found


def test_posts_texts_and_prints_json_lines(port: int) -> None:
    result = dure(
        *("client", "post", "--port", str(port), "--on", "/shout"),
        *("--parameters", '{"k": 3, "of": [1.5, "글"]}', "hello", "두레 🙂"),
    )

    assert result.returncode == 0, result.stderr.decode()
    docs = lines(result.stdout)
    assert [doc["text"] for doc in docs] == ["HELLO??", "두레 🙂??"]
    assert docs[0]["tags"] == {"parameters": {"k": 3, "of": [1.5, "글"]}}


def test_reads_lines_of_standard_input_and_writes_a_file(port: int, tmp_path: Path) -> None:
    texts = [f"line {i}" for i in range(250)] + ["", "tab\tand\u2028separator"]
    output = tmp_path / "out.jsonl"

    result = dure(
        *("client", "post", "--port", str(port), "--on", "/shout", "--request-size", "32"),
        *("--output", str(output)),
        given="".join(f"{text}\n" for text in texts).encode(),
    )

    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == b""
    assert [doc["text"] for doc in lines(output.read_bytes())] == [f"{t.upper()}??" for t in texts]
    assert b"steps done in" in result.stderr


def test_reads_a_file_of_lines_and_one_of_json_lines(port: int, tmp_path: Path) -> None:
    (tmp_path / "texts").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (tmp_path / "docs").write_bytes(b'{"id": "7", "text": "one"}\n{"id": "8", "text": "two"}\n')
    ask = ("client", "post", "--port", str(port), "--on", "/shout", "--no-progress")

    from_lines = dure(*ask, "--lines", str(tmp_path / "texts"))
    from_json = dure(*ask, "--jsonl", str(tmp_path / "docs"))

    assert [doc["text"] for doc in lines(from_lines.stdout)] == ["ONE??", "TWO??"]
    assert [doc["id"] for doc in lines(from_json.stdout)] == ["7", "8"]
    assert from_lines.stderr == from_json.stderr == b""


@pytest.mark.parametrize(
    ("flag", "content", "place"),
    [
        ("--jsonl", b'{"text": "ok"}\n{"txet": "x"}\n', "line 2"),
        ("--jsonl", b'{"text": "ok"}\n{"text"\n', "line 2"),
        ("--lines", b"ok\nok\n\xff\xfe\n", "line 3"),
    ],
)
def test_a_bad_line_is_named(port: int, tmp_path: Path, flag: str, content: bytes, place: str) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)

    result = dure("client", "post", "--port", str(port), "--on", "/shout", flag, str(file))

    assert result.returncode == 1
    assert f"{file}, {place}" in result.stderr.decode()
    assert b"Traceback" not in result.stderr


def test_errors_of_the_service_are_one_message(port: int) -> None:
    ask = ("client", "post", "--port", str(port), "--no-progress")

    unknown = dure(*ask, "--on", "/shuot", "x")
    failed = dure(*ask, "--on", "/fail", "x")
    shown = dure("--debug", *ask, "--on", "/fail", "x")

    assert (unknown.returncode, failed.returncode, shown.returncode) == (1, 1, 1)
    assert b"/shout" in unknown.stderr
    assert b"the model is on fire" in failed.stderr
    assert b"Traceback" not in unknown.stderr + failed.stderr
    assert b"in fail" in shown.stderr  # the line of the user's own code


def test_nobody_listening_is_one_message() -> None:
    result = dure("client", "post", "--port", "1", "--no-progress", "x")

    assert result.returncode == 1
    assert result.stderr.startswith(b"Error: ")
    assert b"Traceback" not in result.stderr


def _interrupt(pid: int) -> None:
    os.killpg(pid, signal.SIGINT)  # as a terminal does: to every process of the command


def _terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)  # as a service manager or `docker stop` does: to the first one


@pytest.mark.parametrize("ending", [_interrupt, _terminate])
def test_a_signal_ends_it_with_no_process_left(folder: Path, tmp_path: Path, ending: Callable[[int], None]) -> None:
    uses = ("executor", "up", str(folder / "shout.py"), "--replicas", "2")
    with served(*uses, log=tmp_path / "log") as (process, _):
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2

        ending(process.pid)

        assert process.wait(20) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_an_interrupt_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    log = tmp_path / "log"
    with started("executor", "up", str(tmp_path / "slow.py"), log=log) as process:
        _wait_for("loading", process, log)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2

        _interrupt(process.pid)

        assert process.wait(20) == 1
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert psutil.wait_procs(family, timeout=5)[1] == []


def test_an_executor_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")

    told = dure("executor", "up", str(tmp_path / "broken.py"))
    shown = dure("--debug", "executor", "up", str(tmp_path / "broken.py"))

    assert (told.returncode, shown.returncode) == (1, 1)
    assert b"ModuleNotFoundError: No module named 'nothing_of_this_name'" in told.stderr
    assert b"Traceback" not in told.stderr
    assert b'broken.py", line 1' in shown.stderr


@pytest.mark.parametrize("uses", ["shout.py", "shout.Shout"])
def test_a_setting_the_executor_does_not_know(folder: Path, uses: str) -> None:
    result = dure("executor", "up", uses, "--uses-with", "marc=x", where=folder)

    assert result.returncode == 1
    assert b"marc" in result.stderr
    assert b"Did you mean 'mark'" in result.stderr
    assert b"Traceback" not in result.stderr


def test_serves_a_flow_of_a_file_under_the_port_of_an_option(folder: Path, tmp_path: Path) -> None:
    file = folder / "flow.yml"
    file.write_text("jtype: Flow\nwith: {port: 1}\nexecutors: [{name: a, uses: shout.py}]\n")

    with served("flow", "up", str(file), "--port", "0", log=tmp_path / "log") as (_, port):
        result = dure("client", "post", "--port", str(port), "--on", "/shout", "hello")

    assert port != 1
    assert [doc["text"] for doc in lines(result.stdout)] == ["HELLO!"]


def test_broken_yaml_says_path_and_line(tmp_path: Path) -> None:
    file = tmp_path / "flow.yml"
    file.write_text("jtype: Flow\nexecutors:\n  - name: [a\n    uses: b\n")

    result = dure("flow", "up", str(file))

    assert result.returncode == 1
    assert re.search(rf"{re.escape(str(file))}:[345]", result.stderr.decode())
    assert b"Traceback" not in result.stderr


def _talk(arguments: list[str], answers: str, where: Path) -> tuple[int, str]:
    """Run a command on a terminal of its own and type `answers`."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [DURE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=where, close_fds=True
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    said = b""
    with contextlib.suppress(OSError):  # how the end of a terminal shows on Linux
        while chunk := os.read(ours, 4096):
            said += chunk
    os.close(ours)
    return process.wait(20), said.decode().replace("\r\n", "\n")


def test_the_tutorial_s_dialogue(tmp_path: Path) -> None:
    code, said = _talk(["hub", "new"], "SentenceEncoder\n\ny\n\n\n\ny\n", tmp_path)

    assert code == 0, said
    for question in ("Name", "Folder", "Advanced", "Description", "Keywords", "URL", "Dockerfile"):
        assert question in said
    assert "Next:" in said
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {
        f"SentenceEncoder/{name}"
        for name in (
            *("config.yml", "executor.py", "manifest.yml", "README.md", "requirements.txt"),
            *("Dockerfile", "Dockerfile.gpu", ".dockerignore", "tests/test_executor.py"),
        )
    }


def test_the_dialogue_asks_again_and_takes_every_answer(tmp_path: Path) -> None:
    answers = "encoder\nMyEncoder\nbox\nmaybe\ny\n두레 이야기\ntext, 글\nnowhere\nhttp://x.org\nn\n"

    code, said = _talk(["hub", "new"], answers, tmp_path)

    assert code == 0, said
    assert "'encoder' is not in CamelCase" in said
    assert "'nowhere' does not begin with http" in said
    config = (tmp_path / "box" / "config.yml").read_text(encoding="utf-8")
    for answer in ("MyEncoder", "두레 이야기", "글", "http://x.org"):
        assert answer in config
    assert not (tmp_path / "box" / "Dockerfile").exists()


def test_without_the_advanced_part_three_answers_are_enough(tmp_path: Path) -> None:
    code, said = _talk(["hub", "new"], "MyEncoder\n\n\n", tmp_path)

    assert code == 0, said
    assert (tmp_path / "MyEncoder" / "executor.py").exists()


def test_the_test_of_a_new_bundle_passes(tmp_path: Path) -> None:
    made = dure("hub", "new", "--name", "SentenceEncoder", "--path", str(tmp_path / "bundle"))
    assert made.returncode == 0, made.stderr

    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "bundle",
        capture_output=True,
        timeout=55,
    )

    assert tests.returncode == 0, tests.stdout.decode()
    assert b"2 passed" in tests.stdout


def test_a_new_bundle_is_served_as_its_readme_says(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    dure("hub", "new", "--name", "SentenceEncoder", "--path", str(bundle))

    uses = ("executor", "up", str(bundle / "config.yml"), "--device", "cpu")
    with served(*uses, log=tmp_path / "log") as (_, port):
        result = dure("client", "post", "--port", str(port), "--on", "/", "Hello")

    assert [doc["tags"] for doc in lines(result.stdout)] == [{"processed_by": "SentenceEncoder"}]
