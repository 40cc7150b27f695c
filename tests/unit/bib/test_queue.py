"""The queue: what was asked for is kept, claimed once, told of, and ended once."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dure.bib.job import Event, Job, State
from dure.bib.queue import JobQueue, Submission
from dure.bib.trainings import watch
from dure.errors import JobNotFound, ModelError, ValidationError


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(tmp_path)
    yield queue
    queue.close()


def submission(name: str = "m", **changed: Any) -> Submission:
    fields: dict[str, Any] = {"recipe": {"task": "tc", "seed": 3}, "rows": [b'{"text":"x"}', b"{}"], "digest": "d"}
    return Submission(model_name=name, **{**fields, **changed})


def anywhere(_job: Job, _running: list[Job]) -> tuple[str, str]:
    return "cpu(0)", ""


def test_what_was_asked_for_is_kept(queue: JobQueue) -> None:
    job = queue.submit(submission("감정", device="gpu", need_bytes=7))
    assert queue.job(job.id) == job
    assert (job.model_name, job.task, job.num_rows, job.state) == ("감정", "tc", 2, State.QUEUED)
    assert (job.recipe, job.device, job.need_bytes) == ({"task": "tc", "seed": 3}, "gpu", 7)
    assert (queue.folder_of(job.id) / "data.jsonl").read_bytes() == b'{"text":"x"}\n{}\n'
    other = queue.submit(submission("n"))
    assert [one.id for one in queue.jobs()] == [job.id, other.id]
    assert queue.jobs(State.DONE) == []
    with pytest.raises(JobNotFound, match="there is no job 'x'"):
        queue.job("x")
    with pytest.raises(ValidationError):
        queue.submit(submission("../m"))


def test_one_name_is_trained_once_at_a_time(queue: JobQueue) -> None:
    first, second, other = (queue.submit(submission(name)) for name in ("m", "m", "n"))
    assert queue.claim(first.id, anywhere) == ""
    why = queue.claim(second.id, anywhere)
    assert why == f"waits for {first.id}, which trains the same model"
    assert queue.claim(other.id, anywhere) == ""
    assert queue.claim(first.id, anywhere) == "it is running"
    queue.claim(second.id, anywhere)
    assert [event.note for event in queue.events(second.id)] == ["", why]  # told once
    queue.finish(first.id, State.DONE, version=1)
    assert queue.claim(second.id, anywhere) == ""


def test_what_is_in_the_way_is_told_and_seen_with_those_that_run(queue: JobQueue) -> None:
    first, second = queue.submit(submission("m")), queue.submit(submission("n"))
    queue.claim(first.id, anywhere)
    seen: list[list[str]] = []

    def nowhere(_job: Job, running: list[Job]) -> tuple[str, str]:
        seen.append([job.placed for job in running])
        return "", "no room"

    assert queue.claim(second.id, nowhere) == "no room"
    assert seen == [["cpu(0)"]]
    assert queue.job(second.id).note == "no room"


def test_a_job_ends_once_and_leaves_no_data(queue: JobQueue) -> None:
    job = queue.submit(submission())
    queue.claim(job.id, anywhere)
    (queue.folder_of(job.id) / "checkpoints").mkdir()
    queue.tell(Event(job_id=job.id, step=3, num_steps=6, share=0.5, epoch=1, loss=0.7, score=0.5, elapsed_time_s=2.0))
    assert queue.furthest_step(job.id) == 3
    assert queue.finish(job.id, State.DONE, version=4, score=0.9)
    assert not queue.finish(job.id, State.FAILED, note="late")
    assert not list(queue.folder_of(job.id).iterdir())
    last = queue.last_event(job.id)
    assert (last.state, last.version, last.share, last.step, last.score) == (State.DONE, 4, 1.0, 3, 0.9)
    queue.requeue(job.id, "late")
    assert queue.job(job.id).state is State.DONE


def test_whoever_watches_sees_all_from_the_beginning(queue: JobQueue) -> None:
    job = queue.submit(submission())
    queue.claim(job.id, anywhere)
    for step in range(1, 4):
        queue.tell(Event(job_id=job.id, step=step, num_steps=3, share=step / 3))
    queue.requeue(job.id, "its process is gone", num_crashes=1, step=3)
    queue.claim(job.id, anywhere)
    queue.finish(job.id, State.FAILED, note="no")
    first, second = list(watch(queue, job.id)), list(watch(queue, job.id))
    assert first == second
    assert [event.state for event in first] == ["queued", *["running"] * 4, "queued", "running", "failed"]
    assert [event.step for event in first] == [0, 0, 1, 2, 3, 3, 3, 3]
    with pytest.raises(JobNotFound):
        next(watch(queue, "x"))


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked(queue: JobQueue) -> None:
    waits, runs = queue.submit(submission("m")), queue.submit(submission("n"))
    queue.claim(runs.id, anywhere)
    assert queue.cancel(waits.id).state is State.CANCELLED
    asked = queue.cancel(runs.id)
    assert (asked.state, asked.is_cancelled) == (State.RUNNING, True)
    queue.finish(runs.id, State.CANCELLED)
    assert queue.cancel(runs.id).state is State.CANCELLED


def test_what_a_killed_process_left_is_tidied_up(queue: JobQueue) -> None:
    done, waits = queue.submit(submission("m")), queue.submit(submission("n"))
    queue.finish(done.id, State.DONE)
    (queue.folder_of(done.id) / "data.jsonl").write_text("left")
    queue.tidy()
    assert not (queue.folder_of(done.id) / "data.jsonl").exists()
    assert (queue.folder_of(waits.id) / "data.jsonl").exists()


def _claim_all(folder: Path, answers: Any) -> None:
    queue = JobQueue(folder)
    answers.put([job.id for job in queue.jobs() if not queue.claim(job.id, anywhere)])


def test_no_job_is_claimed_twice(queue: JobQueue) -> None:
    spawn = multiprocessing.get_context("spawn")
    jobs = [queue.submit(submission(f"m{number}")) for number in range(30)]
    answers: Any = spawn.SimpleQueue()
    processes = [spawn.Process(target=_claim_all, args=(queue.folder, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    claimed = [job_id for _ in processes for job_id in answers.get()]
    for process in processes:
        process.join()
    assert sorted(claimed) == sorted(job.id for job in jobs)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="jobs cannot be kept there"):
        JobQueue(tmp_path / "file")


def test_jobs_and_events_are_told_as_json(queue: JobQueue) -> None:
    job = queue.submit(submission())
    assert msgspec.json.decode(msgspec.json.encode(job))["state"] == "queued"
