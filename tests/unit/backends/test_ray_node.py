"""Inside of an actor: a real worker, and what is heard of it. No Ray is needed for that but its folder."""

import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from dure import Executor
from dure.backends.ray_node import Event, NodeEnd
from dure.device.probe import VISIBLE_VARIABLE
from dure.flow.flow import Flow
from dure.flow.ray_plan import make_ray_plan
from dure.flow.unit import units_of
from dure.transport.door import TCP, TOKEN_BYTES, TOKEN_VARIABLE, Door, Purpose
from dure.worker.assignment import ALIVE

pytest.importorskip("ray", reason="Ray is missing (dure[ray])")

TOKEN = bytes(range(TOKEN_BYTES))


class Loud(Executor):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        print("made", flush=True)  # noqa: T201


def order(address: str) -> bytes:
    flow = Flow().add(uses=Loud)
    (unit,) = units_of(flow.spec.executors)
    (worker,) = unit.workers(flow.spec, make_ray_plan(flow.spec, [], ""))
    assignment = type(worker.assignment)(**{**asdict(worker.assignment), "address": address})
    return bytes(cloudpickle.dumps((assignment, {**worker.env, TOKEN_VARIABLE: TOKEN.hex()})))


def asdict(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def heard(end: NodeEnd, kind: str, limit_s: float = 20) -> Event:
    """The next event of a kind; what is heard besides is dropped."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        for event in end.hear(0.2).events:
            if event.kind == kind:
                return event
    raise AssertionError(f"{kind} was not heard")


def test_a_workers_life() -> None:
    end = NodeEnd()
    assert end.hear(0.0) == ([], None)
    pid = end.begin(order(f"{TCP}127.0.0.1:0"))
    assert Path(f"/proc/{pid}").exists()
    ready = None
    written = b""
    while ready is None:
        told = end.hear(1.0)
        assert told.processor_time_s is not None
        written += b"".join(event.value for event in told.events if event.kind == "wrote" and event.stream == 0)
        ready = next((event.value["ready"] for event in told.events if event.kind == "said"), None)
    assert b"made" in written
    host, _, port = ready.removeprefix(TCP).rpartition(":")
    with pytest.raises(OSError, match=r"reset|let in"):
        Door(host, int(port), bytes(TOKEN_BYTES)).connect(Purpose.CONTROL, 2)
    Door(host, int(port), TOKEN).connect(Purpose.WIRE, 2).close()
    end.say(cloudpickle.dumps(ALIVE))
    assert heard(end, "said").value == ALIVE
    end.terminate()
    assert heard(end, "ended").value == "exited with code 0"
    end.say(cloudpickle.dumps(ALIVE))  # nobody is there to be told


def test_who_asked_for_no_gpu_sees_none() -> None:
    _, env = cloudpickle.loads(order(""))
    assert env[VISIBLE_VARIABLE] == ""
