"""Where arrays are, and what moves them: contexts, the ledger, other libraries, memory, lost devices."""

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dure.device import nd
from dure.device.context import cpu, gpu
from dure.device.nd import NDArray
from dure.device.simulated import simulated_gpus
from dure.device.transfer import no_transfers, transfers
from dure.errors import (
    DeviceLost,
    DeviceMismatch,
    DeviceNotFound,
    DeviceOutOfMemory,
    TransferForbidden,
    ValidationError,
)
from tests.contract.worlds import World, refused, world

__all__ = ["world"]

MIXED: dict[str, Callable[[NDArray, NDArray], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "**": lambda x, y: x**y,
    "@": lambda x, y: x @ y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(y),
    "/=": lambda x, y: x.__itruediv__(y),
    "x[y]": lambda x, y: x[y],
    "x[…] = y": lambda x, y: x.__setitem__(..., y),
    "dot": nd.dot,
    "concat": lambda x, y: nd.concat(x, y, dim=0),
    "stack": lambda x, y: nd.stack([x, x, y]),
    "maximum": nd.maximum,
    "minimum": nd.minimum,
    "where": lambda x, y: nd.where(x, x, y),
    "list": lambda x, y: nd.array([x, y]),
}


@pytest.mark.parametrize("name", MIXED)
def test_contexts_do_not_mix(world: World, name: str) -> None:
    x, y = nd.full(2, 3, world.here), nd.ones(2, world.there)
    with transfers() as t:
        text = refused(lambda: MIXED[name](x, y), DeviceMismatch)
    shown = {"list": "stack(…)"}.get(name, name)
    assert shown in text
    assert str(world.here) in text
    assert str(world.there) in text
    assert f"y.as_in_context({world.here})" in text
    assert t.num_moves == 0
    assert x.asnumpy().tolist() == [3, 3]
    MIXED[name](x, y.as_in_context(world.here).astype("int64" if name == "x[y]" else "float32"))


def test_foreign_arrays_live_on_the_host(world: World) -> None:
    x, host = nd.ones(2, world.here), np.ones(2, np.float32)
    works: list[Callable[[], Any]] = [
        lambda: x + host,
        lambda: host + x,
        lambda: x == host,
        lambda: x[host > 0],
    ]
    for work in works:
        if world.on_host:
            assert work().context == cpu()
        else:
            assert f"nd.array(y, ctx={world.here})" in refused(work, DeviceMismatch)


def test_a_copy_is_always_new(world: World) -> None:
    x = nd.array([1, 2, 3], world.here)
    for target in (world.here, world.there, str(world.there)):
        z = x.copyto(target)
        assert z is not x
        assert str(z.context) == str(target)
        z[0] = 9
        assert z.asnumpy().tolist() == [9, 2, 3]
    assert x.asnumpy().tolist() == [1, 2, 3]


def test_a_copy_into_an_array(world: World) -> None:
    x, target = nd.array([1, 2, 3], world.here), nd.zeros(3, world.there)
    assert x.copyto(target) is target
    assert target.asnumpy().tolist() == [1, 2, 3]
    assert "(3,)" in refused(lambda: x.copyto(nd.zeros(2, world.there)), ValidationError)


def test_an_array_that_is_there_stays_the_same(world: World) -> None:
    x = nd.ones(3, world.here)
    assert x.as_in_context(world.here) is x
    assert x.as_in_context(str(world.here)) is x
    z = x.as_in_context(world.there)
    assert z.context == world.there
    assert z.as_in_context(world.here) is not x
    np.testing.assert_array_equal(z.as_in_context(world.here).asnumpy(), x.asnumpy())


LEAVING: dict[str, tuple[Callable[[NDArray], Any], int]] = {
    "asnumpy": (lambda x: x.asnumpy(), 24),
    "print": (str, 24),
    "numpy.asarray": (np.asarray, 24),
    "float": (lambda x: float(x.sum()), 4),
    "bool": (lambda x: bool(x[0, 0] == 1), 1),
    "copyto": (lambda x: x.copyto(cpu()), 24),
    "as_in_context": (lambda x: x.as_in_context(cpu()), 24),
    "nd.array": (lambda x: nd.array(x, ctx=cpu()), 24),
    "copyto a view": (lambda x: x[:, 1].copyto(cpu()), 8),
    "pickle": (pickle.dumps, 24),
}


@pytest.mark.parametrize("name", LEAVING)
def test_what_leaves_is_counted_exactly_and_can_be_forbidden(world: World, name: str) -> None:
    work, num_bytes = LEAVING[name]
    x = nd.ones((2, 3), world.here)
    with transfers() as t:
        work(x)
    if world.on_host:
        assert t.num_moves == 0
        return
    assert t.between(world.here, cpu()).num_bytes == t.num_bytes == num_bytes
    assert all(route.where.startswith(__file__) for route in t.routes)
    with no_transfers():
        assert __file__ in refused(lambda: work(x), TransferForbidden)


def test_what_enters_is_counted_exactly(world: World) -> None:
    with transfers() as t:
        nd.array([[1, 2], [3, 4]], world.here)
        nd.array(np.zeros(3, np.int64), world.here)
        nd.array([1], world.here, "float64").copyto(world.here)
        nd.ones((5, 5), world.here)
        nd.random.uniform(shape=9, ctx=world.here)
    assert t.num_bytes == (0 if world.on_host else 16 + 24 + 8)
    with transfers() as t:
        nd.ones((5, 5), world.here).copyto(world.there)
    assert t.between(world.here, world.there).num_bytes == t.num_bytes == 100


def test_two_steps_on_one_device_move_nothing_between_them(world: World) -> None:
    def encode(x: NDArray) -> NDArray:
        return nd.tanh(x @ x.T)

    def rank(x: NDArray) -> NDArray:
        return nd.softmax(x, axis=0).argmax(axis=1)

    x = nd.random.uniform(shape=(8, 8), ctx=world.here)
    with transfers() as t, no_transfers():
        ranked = rank(encode(x))
    assert t.num_moves == 0
    assert ranked.context == world.here


def test_numpy_shares_memory_on_the_host_only(world: World) -> None:
    host = np.zeros((2, 2), np.float32)
    x = nd.from_numpy(host)
    x[0] = 1
    assert host.tolist() == [[1, 1], [0, 0]]
    assert np.shares_memory(x.asnumpy(), host)
    y = nd.zeros(2, world.here)
    y.asnumpy()[0] = 5
    assert y.asnumpy().tolist() == ([5, 0] if world.on_host else [0, 0])
    assert np.asarray(y, dtype=np.float64).dtype == np.float64
    assert refused(lambda: np.sin(y), TypeError)
    if not world.on_host:
        assert str(world.here) in refused(lambda: np.array(y, copy=False), ValueError)


@pytest.mark.parametrize("make", [lambda a: a[::-1], lambda a: np.broadcast_to(a, (2, 3)), np.flip])
def test_a_numpy_array_that_a_tensor_cannot_view_is_copied(world: World, make: Callable[[Any], Any]) -> None:
    host = make(np.arange(3.0))
    assert nd.from_numpy(host).asnumpy().tolist() == host.tolist()


def test_torch_shares_memory(world: World) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = nd.zeros(3, world.here)
    x.torch()[0] = 4
    assert x.asnumpy().tolist() == [4, 0, 0]
    with no_transfers():
        back = nd.from_torch(x.torch(), ctx=world.here)
    assert back.context == world.here
    back[1] = 5
    assert x.torch().tolist() == [4, 5, 0]
    tensor = torch.zeros(2)
    y = nd.from_torch(tensor)
    y += 1
    assert y.context == cpu()
    assert tensor.tolist() == [1, 1]
    if not world.simulated:
        assert str(world.here) in refused(lambda: nd.from_torch(tensor, ctx=world.here), DeviceMismatch)


def test_gradients_pass_through(world: World) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if world.library == "numpy":
        pytest.skip("numpy has no gradients")
    tensor = nd.ones(2, world.here).torch().requires_grad_()
    loss = (nd.from_torch(tensor, ctx=world.here) * 3).sum()
    loss.torch().backward()
    assert tensor.grad.tolist() == [3, 3]
    assert loss.asscalar() == 6
    assert isinstance(tensor, torch.Tensor)


def test_dlpack(world: World) -> None:
    host = np.zeros(2, np.float32)
    x = nd.from_dlpack(host)
    x[0] = 1
    assert host.tolist() == [1, 0]
    y = nd.ones(2, world.here)
    shared = nd.from_dlpack(y)
    shared[0] = 7
    assert y.asnumpy().tolist() == [7, 1]
    if world.on_host:
        assert np.from_dlpack(y).tolist() == [7, 1]
    else:
        refused(lambda: np.from_dlpack(y), BufferError)
    assert "__dlpack__" in refused(lambda: nd.from_dlpack([1]), ValidationError)


def test_copies_and_pickles_keep_their_context(world: World) -> None:
    x = nd.array([1, 2], world.here)
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        assert other.context == world.here
        assert other.asnumpy().tolist() == [1, 2]
        other[0] = 9
    assert x.asnumpy().tolist() == [1, 2]


def test_bfloat16_where_pytorch_has_it(world: World) -> None:
    if world.library == "numpy":
        assert "bfloat16" in refused(lambda: nd.ones(2, world.here, "bfloat16"), ValidationError)
        return
    x = nd.ones(2, world.here, "bfloat16")
    assert (x.dtype, x.nbytes) == ("bfloat16", 4)
    assert f"[1. 1.]\n<NDArray 2 @{world.here}>" in str(x)
    assert (x.sum().asscalar(), x.mean().asscalar()) == (2, 1)
    assert "astype('float32')" in refused(x.asnumpy, ValidationError)


def test_memory_is_given_back(world: World) -> None:
    if world.on_host or not world.simulated:
        pytest.skip("only simulated devices count every array")
    with simulated_gpus(2, memory_bytes=1000) as devices:
        device = devices[world.here]
        arrays = {"x": nd.ones(100, world.here)}
        arrays["view"] = arrays["x"][10:]
        assert device.used_bytes == 400
        arrays["y"] = arrays["x"] + 1
        assert device.used_bytes == 800
        text = refused(lambda: arrays["x"] * 2, DeviceOutOfMemory)
        assert "400 bytes are needed, 200 of 1,000 are free" in text
        refused(lambda: nd.zeros(51, world.here), DeviceOutOfMemory)
        refused(lambda: nd.zeros(51).copyto(world.here), DeviceOutOfMemory)
        del arrays["x"], arrays["y"]
        gc.collect()
        assert device.used_bytes == 400
        arrays.clear()
        gc.collect()
        assert device.used_bytes == 0
        nd.ones(250, world.here)


def test_a_result_that_is_too_large_names_need_and_free(world: World) -> None:
    tall, wide = nd.ones((2**24, 1), world.here), nd.ones((1, 2**24), world.here)
    text = refused(lambda: tall + wide, DeviceOutOfMemory)
    assert f"{world.here} is out of memory: 1,125,899,906,842,624 bytes are needed" in text


def test_nothing_works_on_a_lost_device(world: World) -> None:
    if world.on_host or not world.simulated:
        pytest.skip("only a simulated device can be lost on purpose")
    with simulated_gpus(2) as devices:
        x, y = nd.ones(2, world.here), nd.ones(2, world.there)
        devices[world.here].lose("an illegal memory access")
        uses: list[Callable[[], Any]] = [
            lambda: x + 1,
            lambda: x.__iadd__(1),
            lambda: x + y,
            lambda: x[0],
            lambda: x.__setitem__(0, 1),
            lambda: x.sum(),
            lambda: x.asnumpy(),
            lambda: x.torch(),
            lambda: str(x),
            lambda: float(x[0]),
            lambda: x.copyto(world.there),
            lambda: x.as_in_context(world.there),
            lambda: y.copyto(world.here),
            lambda: y.copyto(x),
            lambda: nd.ones(1, world.here),
            lambda: nd.random.uniform(ctx=world.here),
            lambda: nd.array([1], world.here),
        ]
        for use in uses:
            assert f"{world.here} is lost: an illegal memory access" in refused(use, DeviceLost)
        assert (y + 1).asnumpy().tolist() == [2, 2]
    refused(lambda: y + 1, DeviceLost)


def test_a_device_outside_the_visible_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_gpus(2):
        x = nd.ones(1, gpu(1))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert nd.ones(1, gpu(0)).context == gpu(0)
        assert "Present: cpu(0), gpu(0)." in refused(lambda: nd.ones(1, gpu(1)), DeviceNotFound)
        assert (x + 1).asnumpy().tolist() == [2]
