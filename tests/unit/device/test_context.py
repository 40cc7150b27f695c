import pickle
import subprocess
import sys

import numpy as np
import pytest

from dure.device.context import Context, cpu, gpu, parse_context
from dure.errors import DeviceNotFound


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("cpu", cpu()),
        ("cpu:0", cpu()),
        ("cpu(0)", cpu()),
        ("gpu", gpu(0)),
        ("gpu:1", gpu(1)),
        ("gpu(1)", gpu(1)),
        ("cuda", gpu(0)),
        ("cuda:12", gpu(12)),
        (gpu(3), gpu(3)),
    ],
)
def test_every_way_to_write_a_device_is_read(name: object, context: Context) -> None:
    assert parse_context(name) is context


@pytest.mark.parametrize("context", [cpu(), gpu(), gpu(1), gpu(7)])
def test_what_is_printed_is_read_back(context: Context) -> None:
    assert parse_context(str(context)) is context
    assert parse_context(context.torch_name) is context
    assert repr(context) == str(context)
    assert pickle.loads(pickle.dumps(context)) == context


def test_names() -> None:
    assert [str(cpu()), str(gpu()), str(gpu(1))] == ["cpu(0)", "gpu(0)", "gpu(1)"]
    assert [cpu().torch_name, gpu().torch_name, gpu(1).torch_name] == ["cpu", "cuda:0", "cuda:1"]


def test_contexts_are_values() -> None:
    assert gpu(0) == Context("gpu", 0) != gpu(1)
    assert cpu() != gpu()
    assert len({gpu(1), Context("gpu", 1), gpu(np.int64(1))}) == 1


def test_all_processors_are_one_place() -> None:
    assert cpu(3) is cpu()
    assert parse_context("cpu:1") is cpu()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cudda", "'cuda'"),
        ("cudda:1", "'cuda:1'"),
        ("GPU", "'gpu'"),
        ("gppu(1)", "'gpu(1)'"),
        ("cuda:1 ", "'cuda'"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(DeviceNotFound) as caught:
        parse_context(name)
    assert str(caught.value).startswith(f"{name!r} names no device. Did you mean {hint}?")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mps",
        "gpu:",
        "gpu()",
        "gpu:1.5",
        "gpu:x",
        "gpu:-1",
        "gpu:\u0661",
        None,
        0,
        -1,
        1.5,
        True,
    ],
)
def test_what_names_no_device_is_refused_with_the_value(name: object) -> None:
    with pytest.raises(DeviceNotFound) as caught:
        parse_context(name)
    assert str(name) in str(caught.value).replace("gpu(-1)", "gpu:-1")


@pytest.mark.parametrize("make", [cpu, gpu])
@pytest.mark.parametrize("index", [-1, 1.5, None, True, "1"])
def test_a_bad_index_is_refused_with_the_value(make: object, index: object) -> None:
    with pytest.raises(DeviceNotFound, match="index") as caught:
        make(index)  # type: ignore[operator]
    assert repr(index) in str(caught.value)


def test_a_bad_kind_is_refused() -> None:
    with pytest.raises(DeviceNotFound, match="Did you mean 'gpu'"):
        Context("gpus", 0)  # type: ignore[arg-type]


def test_naming_a_device_loads_no_array_library() -> None:
    code = "import sys, dure.device.probe as probe; probe.inventory(); print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
