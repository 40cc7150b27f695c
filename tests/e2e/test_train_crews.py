"""`dure train --workers`: crews of real processes, on this machine and on Ray, come to the bytes that one comes to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dure.dataset.jsonlines import write_jsonl
from tests.e2e.ray_nodes import SECOND, THIRD, Nodes
from tests.e2e.ray_worker import nothing_left, started_cluster  # noqa: F401
from tests.tiny_model import write_tiny_model
from tests.unit.learning.test_fine_tuning import FORMS, NAMES, PLACES, labelled, tagged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LONG = ("--epochs", 150)  # some 20 s, of which the first 10 end with a checkpoint
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crews")
    words = sorted({word for form in FORMS for word in form.format(name="", place="").strip(" .").split()})
    write_tiny_model(folder / "tiny", [*words, *NAMES, *PLACES])
    write_jsonl(labelled(400), folder / "tc.jsonl")
    write_jsonl(tagged(200), folder / "ner.jsonl")
    return folder


@pytest.fixture(scope="module")
def start(home: Path) -> Start:
    def begin(task: str, name: str, *options: object, **env: str) -> "subprocess.Popen[str]":
        words = ["train", task, f"{task}.jsonl", "--model-name", name, "--encoder", "tiny", *options]
        return subprocess.Popen(
            [sys.executable, "-m", "dure.cli.main", *map(str, words)],
            cwd=home,
            env={**os.environ, "DURE_HOME": str(home / "dure"), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    told = process.communicate(timeout=240)[0]
    assert process.returncode == code, told
    assert "Traceback" not in told or code
    return told


def weights(home: Path, name: str) -> bytes:
    return (home / "dure" / "models" / name / "1" / "weights.safetensors").read_bytes()


def workers_of(folder: Path) -> list[int]:
    """The processes of a local crew, without the command and torchrun."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if str(folder).encode() in words and not {b"dure.cli.main", b"torch.distributed.run"} & set(words):
                found.append(int(path.parent.name))
    return sorted(found)


def nobody_left(folder: Path, limit_s: float = 10) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not any(str(folder).encode() in path.read_bytes() for path in readable("/proc")):
            return True
        time.sleep(0.2)
    return False


def readable(folder: str) -> Iterator[Path]:
    for path in Path(folder).glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            path.read_bytes()
            yield path


def half_way(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Wait for a checkpoint."""
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def by_one(start: Start, home: Path) -> bytes:
    """The weights of two shares, by one worker."""
    ended(start("tc", "one", "--workers", 1, "--shares", 2, *LONG))
    return weights(home, "one")


# -- on this machine --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "sizes"), [("tc", (1, 2, 3, 4)), ("ner", (1, 4))])
def test_any_number_of_workers_comes_to_the_same_bytes(
    task: str, sizes: tuple[int, ...], start: Start, home: Path
) -> None:
    """Four shares by one, two, three and four; and the scores of the job that trains without a crew."""
    names = [f"{task}{workers}" for workers in sizes]
    for workers, name in zip(sizes, names, strict=True):
        told = ended(start(task, name, "--workers", workers, "--shares", 4, "--threads", 1, "--epochs", 3))
        assert f"a crew of {workers} worker" in told
    ended(start(task, f"{task}-job", "--shares", 4, "--epochs", 3))
    assert len({weights(home, name) for name in names}) == 1
    card = json.loads((home / "dure" / "models" / f"{task}4" / "1" / "card.json").read_text())
    assert (card["recipe"]["shares"], card["workers"]) == (4, 4)
    first, job = (
        json.loads((home / "dure" / "models" / name / "1" / "card.json").read_text())["scores"]
        for name in (f"{task}1", f"{task}-job")
    )
    assert first == pytest.approx(job, abs=0.01)
    assert not list((home / "dure" / "crews").iterdir()), "what was published needs no checkpoint"


def test_a_worker_that_is_killed_costs_nothing_but_time(start: Start, home: Path, by_one: bytes) -> None:
    folder = home / "killed"
    training = start("tc", "killed", "--workers", 2, *LONG, "--checkpoints", folder)
    half_way(training, folder)
    os.kill(workers_of(folder)[0], signal.SIGKILL)
    told = ended(training)
    assert "a worker was lost; a crew of 2 workers begins from the last checkpoint" in told
    assert "goes on from step" in told
    assert weights(home, "killed") == by_one
    assert nobody_left(folder)
    assert not folder.exists()


def test_workers_that_die_and_die_are_given_up(start: Start, home: Path) -> None:
    folder = home / "hopeless"
    training = start("tc", "hopeless", "--workers", 2, *LONG, "--checkpoints", folder)
    killed: set[int] = set()
    while training.poll() is None:
        for pid in set(workers_of(folder)[-1:]) - killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.2)
    assert "the crew could not go on: worker 1 was ended by SIGKILL" in ended(training, 1)
    assert nobody_left(folder)
    assert not (home / "dure" / "models" / "hopeless").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGKILL, -9)])
def test_who_leads_ends_and_the_same_command_goes_on(
    start: Start, home: Path, by_one: bytes, number: signal.Signals, code: int
) -> None:
    name = number.name.lower()
    folder = home / name
    order = ("tc", name, "--workers", 2, *LONG, "--checkpoints", folder)
    training = start(*order)
    half_way(training, folder)
    training.send_signal(number)
    told = ended(training, code)
    assert nobody_left(folder)
    assert not (home / "dure" / "models" / name).exists()
    if number == signal.SIGINT:
        assert f"The same command goes on from {folder}" in told
    assert "goes on from step" in ended(start(*order))
    assert weights(home, name) == by_one


def test_two_at_once_in_one_folder_are_refused(start: Start, home: Path) -> None:
    folder = home / "busy"
    order = ("tc", "busy", "--workers", 1, *LONG, "--checkpoints", folder)
    first = start(*order)
    while not (folder / "training.json").exists():
        time.sleep(0.1)
    assert "is in use by a training that runs" in ended(start(*order), 1)
    first.send_signal(signal.SIGINT)
    ended(first, 1)
    assert "holds another training: its seed is 0, not 7" in ended(start(*order, "--seed", 7), 1)


def test_workers_on_gpus_of_their_own(start: Start, home: Path) -> None:
    order = ("--device", "gpu", "--epochs", 2, "--workers")
    ended(start("tc", "gpus", *order, 2, DURE_SIMULATE_GPUS="2"))
    assert len(weights(home, "gpus")) > 1000
    told = ended(start("tc", "more", *order, 3, DURE_SIMULATE_GPUS="2"), 1)
    assert "workers: 3 of them need a GPU each; this machine has 2" in told
    assert not list((home / "dure" / "crews").iterdir()), "what was refused leaves nothing"


# -- on Ray -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)  # Ray takes its time to believe that a node is gone
def test_a_node_that_is_lost_costs_nothing_but_time(start: Start, home: Path, cluster: Nodes) -> None:
    """Six workers on three nodes of two cores: four go on, with the shares of six, and end as one would here."""
    folder = home / "node"
    enough = ("--epochs", 60)  # six processes share what cores there are
    order = ("--backend", "ray", "--address", cluster.address, "--checkpoints", folder)
    training = start("tc", "node", "--workers", 6, *enough, *order)
    half_way(training, folder)
    cluster.kill(SECOND)
    told = ended(training)
    cluster.add(SECOND)
    assert "a worker was lost; a crew of 4 workers begins from the last checkpoint" in told
    ended(start("tc", "six", "--workers", 1, "--shares", 6, *enough))
    assert weights(home, "node") == weights(home, "six")
    assert nothing_left(cluster, 20)


def test_an_interrupt_leaves_nothing_on_the_cluster(start: Start, home: Path, cluster: Nodes) -> None:
    folder = home / "stopped"
    order = ("--backend", "ray", "--address", cluster.address, "--checkpoints", folder)
    training = start("tc", "stopped", "--workers", 2, *LONG, *order)
    half_way(training, folder)
    training.send_signal(signal.SIGINT)
    assert "The same command goes on from" in ended(training, 1)
    assert nothing_left(cluster, 20)


def test_what_a_cluster_cannot_do(start: Start, home: Path, cluster: Nodes) -> None:
    def told(*options: object) -> str:
        return ended(start("tc", "refused", "--backend", "ray", "--checkpoints", home / "refused", *options), 1)

    there = ("--address", cluster.address)
    text = told("--workers", 7, *there)
    assert "7 of them take 1 CPU each, and the Ray cluster has room for 6" in text
    text = told("--workers", 3, "--device", "gpu", *there)
    assert "has room for 2" in text
    assert f"{THIRD} has 2 CPU, 2 GPU" in text
    assert "is of Ray's client" in told("--workers", 1, "--address", cluster.client_address)
    assert "no Ray cluster answers at 127.0.0.1:9" in told("--workers", 1, "--address", "127.0.0.1:9")
    assert not (home / "refused").exists()


def test_a_folder_that_the_nodes_do_not_see(home: Path, cluster: Nodes) -> None:
    """Who leads has a disk of its own, mounted where nobody else sees it."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own for a process: unshare -m is not allowed here")
    (home / "own").mkdir()
    words = ["train", "tc", "tc.jsonl", "--model-name", "unseen", "--encoder", "tiny", "--workers", "2"]
    words += ["--backend", "ray", "--address", cluster.address, "--checkpoints", str(home / "own" / "crew")]
    mount = f"mount -t tmpfs none {home / 'own'} && exec {sys.executable} -m dure.cli.main {' '.join(words)}"
    process = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount],
        cwd=home,
        env={**os.environ, "DURE_HOME": str(home / "dure")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert f"does not see {home / 'own' / 'crew'}; name a folder that all nodes share" in process.stderr
    assert process.returncode == 1
