"""Jobs that survive: workers and servers are killed, and every job ends as it would have ended."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from dure.bib.foreman import Workshop
from dure.bib.job import Job, State
from dure.bib.queue import JobQueue
from dure.bib.trainings import Trainings, watch
from dure.dataset.reading import read_examples
from dure.errors import ValidationError
from dure.learning.kinds import Examples
from dure.learning.recipe import Recipe
from dure.store.store import ModelStore
from tests.e2e.bib import TINY, tiny_workshop
from tests.house.sources import ROOT
from tests.real_data import real_data
from tests.unit.learning.tiny_learner import examples

pytestmark = pytest.mark.timeout(300)
RECIPE = Recipe(task="tc", train_rate=0.8, epochs=10)  # 60 steps


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_STEP_S", "0.03")
    monkeypatch.setenv("TINY_CHECKPOINT_S", "0.15")


def worker_pid(job_id: str) -> int | None:
    """The process that trains a job, by its command line; None while there is none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if job_id.encode() in words and path.parent.joinpath("exe").exists():
                return int(path.parent.name)
    return None


def weights_of(store: ModelStore, job: Job) -> bytes:
    (version,) = [one for one in store.versions(job.model_name) if one.card["job"] == job.id]
    version.verify()
    return (version.folder / "weights.safetensors").read_bytes()


def kill_now_and_then(queue: JobQueue, job: Job, times: int, chance: random.Random) -> int:
    """Kill the worker of a job at random moments after it has come further; how often it was killed."""
    killed = 0
    seen = 0
    for event in watch(queue, job.id):
        if killed < times and event.step > seen and event.state is State.RUNNING and not event.note:
            time.sleep(chance.uniform(0, 0.4))
            pid = worker_pid(job.id)
            if pid is not None and not queue.job(job.id).state.is_final:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                    seen = queue.furthest_step(job.id)
    return killed


def kill_so_often(total: int, home: Path, recipe: Recipe = RECIPE, data: Examples | None = None) -> None:
    """Kill workers at random moments, up to four times a job, until so many are killed; look what became of each."""
    chance = random.Random(total)
    data = data or examples()
    store = ModelStore(home / "models")
    killed = 0
    with Trainings(home=home, workshop=tiny_workshop(home)) as trainings:
        unbroken = trainings.submit("unbroken", recipe, data)
        *_, whole = trainings.watch(unbroken.id)
        for number in range(total):  # a kill a job at the least
            if killed >= total:
                break
            job = trainings.submit(f"m{number}", recipe, data)
            killed += kill_now_and_then(trainings.queue, job, min(4, total - killed), chance)
            end = trainings.queue.last_event(job.id)
            assert (end.state, end.version) == (State.DONE, 1), end.note
            assert (end.step, end.score) == (whole.step, whole.score)
            assert weights_of(store, job) == weights_of(store, unbroken)
            assert store.resolve(f"m{number}").card["scores"] == store.resolve("unbroken").card["scores"]
            while worker_pid(job.id) is not None:  # it tells of its end, and then tidies up
                time.sleep(0.05)
            assert sorted(path.name for path in trainings.queue.folder_of(job.id).iterdir()) == [
                "worker.lock",
                "worker.log",
            ]
    left = list(store.folder.rglob(".new-*"))
    assert not left
    assert killed == total, "the jobs ended before they could be killed"


@pytest.mark.usefixtures("slow")
def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    kill_so_often(3, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("slow")
def test_twenty_kills_over_several_jobs(tmp_path: Path) -> None:
    kill_so_often(20, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("task", "path", "count"),
    [("tc", "tc/nsmc_train_20k.txt", 4000), ("ner", "ner/klue-ner-v1.1_train_8k_restored.tsv", 400)],
)
def test_the_default_models_resume_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Literal["tc", "ner"], path: str, count: int
) -> None:
    monkeypatch.setenv("TINY_REAL", "1")
    monkeypatch.setenv("TINY_CHECKPOINT_S", "0.5")
    data = read_examples(real_data(path), task).examples[:count]
    kill_so_often(3, tmp_path, Recipe(task=task, epochs=4), data)


SERVER = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from dure.bib.trainings import Trainings
from tests.e2e.bib import tiny_workshop
home = Path(sys.argv[1])
with Trainings(home=home, workshop=tiny_workshop(home)):
    time.sleep(600)
"""


@contextlib.contextmanager
def served(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(home)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_step(queue: JobQueue, job_id: str, step: int) -> None:
    for event in watch(queue, job_id):
        if event.step >= step:
            return


@pytest.mark.usefixtures("slow")
def test_a_killed_server_is_replaced_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker outlives its server and is watched by the next; then worker and server die together."""
    store = ModelStore(tmp_path / "models")
    recipe = replace(RECIPE, epochs=30)
    with served(tmp_path) as server, Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as idle:
        idle._foreman.close()  # what only the server does
        job = idle.submit("m", recipe, examples())
        wait_for_step(idle.queue, job.id, 1)
        server.kill()
        server.wait()
        outlived = worker_pid(job.id)
        assert outlived is not None
        with served(tmp_path) as second:
            wait_for_step(idle.queue, job.id, idle.queue.furthest_step(job.id) + 20)
            assert worker_pid(job.id) == outlived
            second.kill()
            second.wait()
            os.kill(outlived, signal.SIGKILL)
        with served(tmp_path):
            *_, end = watch(idle.queue, job.id)
        assert end.state is State.DONE
        starts = [event for event in idle.queue.events(job.id) if event.note.startswith("runs on")]
        resumed = [event for event in idle.queue.events(job.id) if event.note.startswith("goes on from step")]
        assert (len(starts), len(resumed)) == (2, 1)
    monkeypatch.delenv("TINY_STEP_S")
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        unbroken = trainings.submit("unbroken", recipe, examples())
        *_, whole = trainings.watch(unbroken.id)
        assert whole.score == end.score
        assert weights_of(store, trainings.queue.job(job.id)) == weights_of(store, unbroken)


def test_what_always_dies_fails_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        good = trainings.submit("m", RECIPE, examples())
        list(trainings.watch(good.id))
        before = ModelStore(tmp_path / "models").versions("m")
        monkeypatch.setenv("TINY_DIES_AT", "7")
        bad = trainings.submit("m", RECIPE, examples())
        *events, end = trainings.watch(bad.id)
    assert end.state is State.FAILED
    assert "exited with code 3" in end.note
    assert "the end is near" in end.note
    assert sum(event.note.startswith("runs on") for event in events) == 3
    assert ModelStore(tmp_path / "models").versions("m") == before


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("TINY_DIVERGES_AT", "lower learning_rate"),
        ("TINY_FILLS_THE_DISK_AT", "is full"),
        ("TINY_RAISES_AT", "KeyError: 'what nobody"),
    ],
)
def test_what_cannot_be_trained_fails_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str, told: str
) -> None:
    """What is known to fail again is no crash: it is told, and not tried again."""
    monkeypatch.setenv(cause, "7")
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        job = trainings.submit("m", RECIPE, examples())
        *events, end = trainings.watch(job.id)
    assert end.state is State.FAILED, end
    assert told in end.note
    assert sum(event.note.startswith("runs on") for event in events) == 1


def test_what_does_not_fit_is_halved_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_MAX_BATCH", "4")
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        job = trainings.submit("m", replace(RECIPE, batch_size=16), examples())
        *events, end = trainings.watch(job.id)
    assert end.state is State.DONE, end.note
    assert any("8 examples at once do not fit into the memory of cpu: now 4" in event.note for event in events)
    recipe = ModelStore(tmp_path / "models").resolve("m").card["recipe"]
    assert (recipe["batch_size"], recipe["accumulate"]) == (4, 4)


def test_a_name_keeps_its_task(tmp_path: Path) -> None:
    ModelStore(tmp_path / "models").publish("m", lambda folder: None, {"task": "ner"})
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        with pytest.raises(ValidationError, match="'m' finds named entities, and a model keeps its task"):
            trainings.submit("m", RECIPE, examples())
        assert not trainings.queue.jobs()


def test_a_published_version_is_not_published_again(tmp_path: Path) -> None:
    """A worker that dies between its version and the word of it has done its work."""
    queue, store = JobQueue(tmp_path / "jobs"), ModelStore(tmp_path / "models")
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        trainings._foreman.close()
        job = trainings.submit("m", RECIPE, examples())
    store.publish("m", lambda folder: None, {"job": job.id, "scores": {"accuracy": 0.5}})
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        *_, end = trainings.watch(job.id)
    assert (end.state, end.version, end.score) == (State.DONE, 1, 0.5)
    assert len(store.versions("m")) == 1
    queue.close()


@pytest.mark.usefixtures("slow")
def test_a_worker_that_is_told_to_go_goes_on_later(tmp_path: Path) -> None:
    with Trainings(home=tmp_path, workshop=tiny_workshop(tmp_path)) as trainings:
        job = trainings.submit("m", RECIPE, examples())
        wait_for_step(trainings.queue, job.id, 2)
        pid = worker_pid(job.id)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        *events, end = trainings.watch(job.id)
    assert end.state is State.DONE
    assert any(event.note.startswith("its process was told to end") for event in events)
    assert any(event.note.startswith("goes on from step") for event in events)


@pytest.mark.usefixtures("slow")
def test_two_trainings_share_a_gpu_only_if_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three jobs on two simulated GPUs: two at once, the third when one of them is done."""
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    monkeypatch.setenv("DURE_SIMULATE_GPU_MEMORY", str(2 * 2**30))  # a small model is thought to need 1.2 GiB
    with Trainings("gpu", tmp_path, tiny_workshop(tmp_path)) as trainings:
        jobs = [trainings.submit(f"m{number}", RECIPE, examples()) for number in range(3)]
        events = [list(trainings.watch(job.id)) for job in jobs]
        assert [told[-1].state for told in events] == [State.DONE] * 3
        placed = [trainings.queue.job(job.id).placed for job in jobs]
    assert {placed[0], placed[1]} == {"gpu(0)", "gpu(1)"}
    assert any("waits for room on gpu" in event.note for event in events[2])
    first_end = min(events[0][-1].number, events[1][-1].number)
    started = next(event.number for event in events[2] if event.note.startswith("runs on"))
    assert started > first_end
    with Trainings("gpu", tmp_path / "wide", tiny_workshop(tmp_path / "wide")) as trainings:
        monkeypatch.setenv("DURE_SIMULATE_GPUS", "1")
        monkeypatch.setenv("DURE_SIMULATE_GPU_MEMORY", str(16 * 2**30))
        jobs = [trainings.submit(f"m{number}", RECIPE, examples()) for number in range(2)]
        events = [list(trainings.watch(job.id)) for job in jobs]
        assert {trainings.queue.job(job.id).placed for job in jobs} == {"gpu(0)"}
    started = next(event.number for event in events[1] if event.note.startswith("runs on"))
    assert started < events[0][-1].number


def test_the_commands_see_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_HOME", str(tmp_path))
    with Trainings(workshop=Workshop(models=tmp_path / "models", command=TINY)) as trainings:
        job = trainings.submit("m", RECIPE, examples())
        list(trainings.watch(job.id))

    def dure(*words: str) -> str:
        program = [sys.executable, "-m", "dure.cli.main", *words]
        return subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout

    assert f"{job.id}  done      100%  tc  m@1  60 rows on cpu" in dure("jobs", "list")
    assert "version 1" in dure("jobs", "watch", job.id).splitlines()[-1]
    assert msgspec.json.decode(dure("jobs", "list", "--json"))["state"] == "done"
    assert dure("models", "alias", "m", "prod", "1") == "m@prod is m@1\n"
    assert dure("models", "list").startswith("m@1 @prod  tc  tiny  accuracy 1.0000")
    assert msgspec.json.decode(dure("models", "describe", "m@prod"))["data"]["rows"] == 60
    assert dure("models", "delete", "m@1", "--with-aliases") == "m@1 is deleted\n"
    assert dure("models", "list") == ""
