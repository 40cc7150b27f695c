"""Settings of containers: which mean something where, and what becomes of them."""

from typing import Any

import numpy as np
import pytest

from dure import Executor, Flow
from dure.backends.gpus import Gpus
from dure.backends.volumes import Volume
from dure.device.probe import Inventory, inventory
from dure.errors import SpecError
from dure.flow.container import container_of
from dure.flow.plan import make_plan
from dure.flow.unit import units_of

ROOTS_HOME = "/root"


def flow_with(**settings: Any) -> Flow:
    return Flow().add(**{"uses": "docker://encoder", "name": "encoder", **settings})


def test_the_tutorials_words() -> None:
    spec = flow_with(
        uses_with={"device": "cuda"}, gpus="all", volumes=f"/home/ubuntu/.cache:{ROOTS_HOME}/.cache", max_memory="2GiB"
    ).spec.executors[0]
    made = container_of(spec)
    assert made is not None
    assert (made.image, made.gpus, made.max_memory_bytes) == ("encoder", Gpus(count=-1), 2 * 2**30)
    assert made.volumes == (Volume(source="/home/ubuntu/.cache", target=f"{ROOTS_HOME}/.cache"),)


def test_without_an_image_there_is_no_container() -> None:
    assert container_of(Flow().add(uses=Executor).spec.executors[0]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("volumes", "/a:/b"),
        ("cache", True),
        ("user", "1000"),
        ("max_processes", 10),
        ("network", "mine"),
        ("docker_kwargs", {"shm_size": "1g"}),
    ],
)
def test_what_means_nothing_without_a_container(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=rf"^local.{name}: means nothing with uses=.*docker://image"):
        Flow().add(uses=Executor, name="local", **{name: value})


@pytest.mark.parametrize(("name", "value"), [("max_memory", "1GiB"), ("max_cpus", 1.0), ("ray_options", {"x": 1})])
def test_what_means_nothing_for_a_process_of_this_machine(name: str, value: Any) -> None:
    flow = Flow().add(uses=Executor, name="local", **{name: value})
    with pytest.raises(SpecError, match=rf"^executors\[0\].{name}: means nothing for a process .*backend='ray'"):
        flow.plan()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("group", "g"),
        ("py_modules", "a.py"),
        ("device", "gpu"),
        ("device_memory", "1GiB"),
        ("ray_options", {"scheduling_strategy": "SPREAD"}),
    ],
)
def test_what_means_nothing_in_a_container(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=rf"^encoder.{name}: means nothing"):
        flow_with(**{name: value})


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"uses": "docker://"}, "names no image"),
        ({"network": "host"}, "would give up the container's walls"),
        ({"network": "none"}, "publishes no port"),
        ({"gpus": "al"}, r"encoder.gpus: 'al' names no GPU"),
        ({"volumes": ["/a:/b:or"]}, r"encoder.volumes\[0\]: 'or' is no mode"),
        ({"max_memory": "2 giga"}, "encoder.max_memory: '2 giga' is no size"),
        ({"docker_kwargs": {"ports": {}}}, "docker_kwargs.ports: cannot be given here"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        flow_with(**settings)


def test_a_container_is_told_plain_values() -> None:
    flow = flow_with(uses_with={"fine": [1, {"a": None}], "array": np.ones(2)})
    with pytest.raises(SpecError, match=r"^encoder.uses_with.array: a container is told plain values .* not ndarray"):
        units_of(flow.spec.executors)[0].workers(flow.spec, make_plan(flow.spec, inventory()))


def test_yaml_says_the_same() -> None:
    flow = flow_with(gpus=[0, 1], volumes=["/a:/b:ro", "data:/d"], cache=True, max_cpus=1.5, docker_kwargs={"a": 1})
    assert Flow.load_config(flow.save_config()) == flow


def test_gpus_without_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "3")
    found = inventory()
    flow = Flow().add(uses=Executor, name="local", gpus="2,0", replicas=2)
    places = make_plan(flow.spec, found).placements
    assert [place.env["CUDA_VISIBLE_DEVICES"] for place in places] == ["2,0", "2,0"]
    assert places[0].reason == "gpus='2,0'"


@pytest.mark.parametrize("other", [{"device": "gpu"}, {"env": {"CUDA_VISIBLE_DEVICES": "0"}}])
def test_gpus_are_said_once(other: dict[str, Any]) -> None:
    flow = Flow().add(uses=Executor, gpus="all", **other)
    with pytest.raises(SpecError, match=r"both gpus and .* say where it runs"):
        make_plan(flow.spec, Inventory((), ""))
