from dure.bench.session import Session
from dure.errors import DeviceOutOfMemory


def test_a_part_that_fails_costs_only_itself() -> None:
    done: list[str] = []
    told: list[str] = []
    failures: list[str] = []

    def run_out() -> None:
        raise DeviceOutOfMemory("gpu(0) is out of memory.\nMore about it.")

    def crash() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    parts = {"first": run_out, "second": crash, "third": lambda: done.append("third")}
    Session([], told.append).run("gpu(0)", parts, failures)
    assert done == ["third"]
    assert told == ["gpu(0): first", "gpu(0): second", "gpu(0): third"]
    assert failures == [
        "gpu(0): first: gpu(0) is out of memory.",
        "gpu(0): second: CUDA error: unspecified launch failure",
    ]


def test_no_part_is_begun_when_the_time_is_up() -> None:
    failures: list[str] = []
    answers = iter([True, False])
    done: list[str] = []
    session = Session([], lambda _: None, has_time=lambda: next(answers))
    session.run("cpu(0)", {"a": lambda: done.append("a"), "b": lambda: done.append("b")}, failures)
    assert done == ["a"]
    assert failures == ["cpu(0): b: left out, the time was up."]
