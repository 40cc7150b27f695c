"""What an array is, on every array library and kind of device: made, computed with, indexed, refused."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dure.device import nd
from dure.device.context import Context, cpu, gpu
from dure.device.nd import NDArray
from dure.device.transfer import no_transfers
from dure.errors import DeviceMismatch, DeviceNotFound, DeviceOutOfMemory, SpecError, ValidationError
from tests.contract.worlds import World, refused, why_no_gpu, world

__all__ = ["world"]

A = [[1.0, -2.0, 3.0], [4.0, 0.5, -6.0]]
B = [[2.0, 4.0, 0.5], [1.0, 2.0, 3.0]]


def same(array: NDArray, expected: Any, context: Context) -> None:
    assert array.context == context
    expected = np.asarray(expected)
    host = array.asnumpy()
    assert host.dtype == expected.dtype
    assert host.shape == expected.shape
    np.testing.assert_allclose(host, expected, rtol=1e-5, atol=1e-6)


def f32(values: Any) -> "np.ndarray[Any, Any]":
    return np.asarray(values, dtype=np.float32)


MADE: dict[str, tuple[Callable[[Any], NDArray], Any]] = {
    "array": (lambda ctx: nd.array(A, ctx=ctx), f32(A)),
    "array of whole numbers": (lambda ctx: nd.array([1, 2, 3], ctx=ctx), f32([1, 2, 3])),
    "array with a type": (
        lambda ctx: nd.array([1, 2], ctx=ctx, dtype="int64"),
        np.asarray([1, 2], np.int64),
    ),
    "array of a numpy array": (
        lambda ctx: nd.array(np.arange(3, dtype=np.int32), ctx=ctx),
        np.arange(3, dtype=np.int32),
    ),
    "array of complex numbers": (lambda ctx: nd.array([1j, 2], ctx), np.asarray([1j, 2], np.complex64)),
    "array of a number": (lambda ctx: nd.array(2.5, ctx=ctx), f32(2.5)),
    "array of arrays": (
        lambda ctx: nd.array([nd.ones(2, ctx=ctx), nd.zeros(2, ctx=ctx)]),
        f32([[1, 1], [0, 0]]),
    ),
    "empty": (lambda ctx: nd.array([], ctx=ctx), f32([])),
    "ones": (lambda ctx: nd.ones((2, 3), ctx=ctx), f32(np.ones((2, 3)))),
    "zeros": (lambda ctx: nd.zeros(4, ctx=ctx), f32(np.zeros(4))),
    "full": (lambda ctx: nd.full((1, 2), 7, ctx, "int32"), np.full((1, 2), 7, np.int32)),
    "ones_like": (lambda ctx: nd.ones_like(nd.zeros((2, 1), ctx, "float64")), np.ones((2, 1))),
    "arange": (lambda ctx: nd.arange(5, ctx=ctx), f32(np.arange(5))),
    "arange by steps": (lambda ctx: nd.arange(1, 2, 0.25, ctx), f32(np.arange(1, 2, 0.25))),
    "linspace": (lambda ctx: nd.linspace(0, 1, 5, ctx), f32(np.linspace(0, 1, 5))),
    "eye": (lambda ctx: nd.eye(2, 3, ctx), f32(np.eye(2, 3))),
    "named context": (lambda ctx: nd.ones(1, ctx=str(ctx)), f32([1])),
}


@pytest.mark.parametrize("name", MADE)
def test_made(world: World, name: str) -> None:
    make, expected = MADE[name]
    same(make(world.here), expected, world.here)


def test_random_numbers(world: World) -> None:
    nd.random.seed(7)
    u = nd.random.uniform(2, 3, shape=(50, 40), ctx=world.here)
    n = nd.random.normal(1, 0.1, shape=(50, 40), ctx=world.here)
    assert u.shape == n.shape == (50, 40)
    assert u.context == n.context == world.here
    assert 2 <= u.min().asscalar() < u.max().asscalar() <= 3
    assert abs(n.mean().asscalar() - 1) < 0.02
    nd.random.seed(7)
    again = nd.random.uniform(2, 3, shape=(50, 40), ctx=world.here)
    same(again, u.asnumpy(), world.here)


def test_the_host_is_where_arrays_live_if_nothing_is_said(world: World) -> None:
    assert nd.ones(1).context == nd.array([1]).context == nd.random.uniform().context == cpu()


def test_properties(world: World) -> None:
    x = nd.array(A, ctx=world.here)
    assert (x.shape, x.ndim, x.size, x.nbytes, len(x)) == ((2, 3), 2, 6, 24, 2)
    assert x.dtype == np.float32 == nd.zeros(1, world.here).dtype
    assert x.context is x.ctx
    same(x.T, f32(A).T, world.here)


def test_printed_as_mxnet_does(world: World) -> None:
    x = nd.ones((2, 3), ctx=world.here)
    assert repr(x) == f"\n[[1. 1. 1.]\n [1. 1. 1.]]\n<NDArray 2x3 @{world.here}>"
    assert str(x.sum()) == f"\n6.0\n<NDArray scalar @{world.here}>"


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("op", OPERATORS)
def test_operators(world: World, op: Callable[[Any, Any], Any]) -> None:
    a, b = f32(A), f32(B)
    x, y = nd.array(A, ctx=world.here), nd.array(B, ctx=world.here)
    with no_transfers():
        results = [op(x, y), op(x, 2), op(3, y), op(x, np.float64(0.5)), op(x, y[0])]
    expected = [op(a, b), op(a, 2), op(3, b), op(a, np.float32(0.5)), op(a, b[0])]
    for result, value in zip(results, expected, strict=True):
        same(result, value, world.here)


def test_more_operators(world: World) -> None:
    a, x = f32(A), nd.array(A, ctx=world.here)
    same(x**2, a**2, world.here)
    same(2**x, 2**a, world.here)
    same(-x, -a, world.here)
    same(abs(x), abs(a), world.here)
    same(x @ x.T, a @ a.T, world.here)
    same((x > 0) & (x < 4) | (x == -6), (a > 0) & (a < 4) | (a == -6), world.here)
    same(~(x > 0), ~(a > 0), world.here)


@pytest.mark.parametrize("op", [operator.iadd, operator.isub, operator.imul, operator.itruediv])
def test_operators_that_write(world: World, op: Callable[[Any, Any], Any]) -> None:
    a, x = f32(A), nd.array(A, ctx=world.here)
    view = x[0]
    assert op(x, nd.array(B, ctx=world.here)) is x
    op(a, f32(B))
    assert op(x, 2) is x
    op(a, 2)
    same(x, a, world.here)
    same(view, a[0], world.here)


def test_types_of_results_are_those_of_pytorch(world: World) -> None:
    whole = nd.array([1, 2], world.here, "int64")
    truth = nd.array([True, False], world.here, "bool")
    assert [
        str(array.dtype)
        for array in (
            whole + whole,
            whole + 1.5,
            whole / whole,
            truth.sum(),
            whole.mean(),
            nd.exp(whole),
            whole * nd.ones(2, world.here),
            nd.ones(2, world.here) / 3,
            nd.ones(2, world.here, "float64") / 3,
            nd.ones(2, world.here, "float16") * 2,
            whole.argmax(),
        )
    ] == [
        *("int64", "float32", "float32", "int64", "float32", "float32"),
        *("float32", "float32", "float64", "float16", "int64"),
    ]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "argmax", "argmin", "norm"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(world: World, name: str, axis: int | None, keepdims: bool) -> None:
    x, a = nd.array(A, ctx=world.here), f32(A)
    compute = np.linalg.norm if name == "norm" else getattr(np, name)
    expected = compute(a, axis=axis, keepdims=keepdims)
    with no_transfers():
        result = getattr(x, name)(axis, keepdims=keepdims)
        again = getattr(nd, name)(x, axis, keepdims=keepdims)
    same(result, expected, world.here)
    same(again, expected, world.here)


COMPUTED: dict[str, tuple[Callable[[NDArray], NDArray], Callable[[Any], Any]]] = {
    "abs": (nd.abs, np.abs),
    "exp": (nd.exp, np.exp),
    "floor": (nd.floor, np.floor),
    "ceil": (nd.ceil, np.ceil),
    "round": (nd.round, np.round),
    "sign": (nd.sign, np.sign),
    "sin": (nd.sin, np.sin),
    "cos": (nd.cos, np.cos),
    "tanh": (nd.tanh, np.tanh),
    "square": (nd.square, np.square),
    "log and sqrt": (lambda x: nd.log(nd.sqrt(nd.abs(x))), lambda a: np.log(np.sqrt(np.abs(a)))),
    "relu": (nd.relu, lambda a: np.maximum(a, 0)),
    "sigmoid": (nd.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    "clip": (lambda x: nd.clip(x, -1, 2), lambda a: np.clip(a, -1, 2)),
    "softmax": (nd.softmax, lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True)),
    "log_softmax": (
        lambda x: nd.log_softmax(x, axis=0),
        lambda a: a - np.log(np.exp(a).sum(0, keepdims=True)),
    ),
    "maximum": (lambda x: nd.maximum(x, 1), lambda a: np.maximum(a, np.float32(1))),
    "minimum": (lambda x: nd.minimum(x, x[0]), lambda a: np.minimum(a, a[0])),
    "where": (lambda x: nd.where(x > 0, x, 9.0), lambda a: np.where(a > 0, a, np.float32(9))),
    "concat": (lambda x: nd.concat(x, x), lambda a: np.concatenate([a, a], 1)),
    "concat of a list": (lambda x: nd.concat([x, x], dim=0), lambda a: np.concatenate([a, a])),
    "stack": (lambda x: nd.stack(x, x, axis=1), lambda a: np.stack([a, a], 1)),
    "dot": (lambda x: nd.dot(x, x, transpose_b=True), lambda a: a @ a.T),
    "dot of more axes": (
        lambda x: nd.dot(x.reshape(1, 2, 3), x.T),
        lambda a: np.tensordot(a.reshape(1, 2, 3), a.T, 1),
    ),
    "reshape": (lambda x: x.reshape((3, -1)), lambda a: a.reshape(3, -1)),
    "flatten": (lambda x: x.reshape(2, 3, 1).flatten(), lambda a: a),
    "transpose": (
        lambda x: x.reshape(1, 2, 3).transpose(1, 2, 0),
        lambda a: a.reshape(1, 2, 3).transpose(1, 2, 0),
    ),
    "expand_dims": (lambda x: nd.expand_dims(x, -1), lambda a: a[..., None]),
    "squeeze": (lambda x: nd.squeeze(x.reshape(1, 6, 1)), lambda a: a.reshape(6)),
    "astype": (lambda x: x.astype("int32"), lambda a: a.astype(np.int32)),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computed(world: World, name: str) -> None:
    ours, numpys = COMPUTED[name]
    x = nd.array(A, ctx=world.here)
    with no_transfers():
        result = ours(x)
    same(result, numpys(f32(A)), world.here)


KEYS = [0, -1, (1, 2), slice(1, None), (slice(None), 1), (..., 0), None, [1, 0], (0, [0, 2])]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexed(world: World, key: Any) -> None:
    a, x = f32(A), nd.array(A, ctx=world.here)
    same(x[key], a[key], world.here)
    x[key], a[key] = 5, 5
    same(x, a, world.here)


def test_indexed_by_arrays(world: World) -> None:
    a, x = f32(A), nd.array(A, ctx=world.here)
    rows = nd.array([1, 1, 0], world.here, "int64")
    with no_transfers():
        taken, positive = x[rows], x[x > 0]
        x[x < 0] = 0
        x[0] = x[1]
    same(taken, a[[1, 1, 0]], world.here)
    same(positive, a[a > 0], world.here)
    a[a < 0] = 0
    a[0] = a[1]
    same(x, a, world.here)
    x[1] = [7, 8, 9]
    a[1] = [7, 8, 9]
    same(x, a, world.here)
    assert [row.shape for row in x] == [(3,), (3,)]


def test_a_single_element_is_a_python_number(world: World) -> None:
    x = nd.array([[2.5]], ctx=world.here)
    assert (x.asscalar(), float(x), int(x), bool(x > 2)) == (2.5, 2.5, 2, True)
    assert "(2,)" in refused(lambda: bool(nd.ones(2, world.here)), ValidationError)


REFUSED: dict[str, tuple[Callable[[Context], Any], type[BaseException], str]] = {
    "shapes that do not fit": (
        lambda ctx: nd.ones((2, 3), ctx) + nd.ones(4, ctx),
        ValidationError,
        "(2, 3) and (4,)",
    ),
    "a product that does not fit": (
        lambda ctx: nd.dot(nd.ones((2, 3), ctx), nd.ones((2, 3), ctx)),
        ValidationError,
        "(2, 3) and (2, 3)",
    ),
    "ragged rows": (lambda ctx: nd.array([[1], [1, 2]], ctx), ValidationError, "nd.array"),
    "no numbers": (lambda ctx: nd.array(["1"], ctx), ValidationError, "['1']"),
    "None": (lambda ctx: nd.array(None, ctx), ValidationError, "None"),
    "None among numbers": (lambda ctx: nd.array([1, None], ctx), ValidationError, "None"),
    "a negative shape": (lambda ctx: nd.ones((2, -1), ctx), ValidationError, "(2, -1)"),
    "a broken shape": (lambda ctx: nd.ones(1.5, ctx), ValidationError, "1.5"),  # type: ignore[arg-type]
    "a type of no numbers": (lambda ctx: nd.ones(1, ctx, "str"), ValidationError, "'str'"),
    "an unknown type": (lambda ctx: nd.ones(1, ctx, "float33"), ValidationError, "float33"),
    "no step": (lambda ctx: nd.arange(0, 1, 0, ctx), ValidationError, "arange"),
    "nothing to join": (lambda ctx: nd.concat(), ValidationError, "concat"),
    "a list among arrays": (lambda ctx: nd.stack(nd.ones(1, ctx), [1]), ValidationError, "[1]"),
    "an index too far": (lambda ctx: nd.ones(2, ctx)[2], IndexError, "2"),
    "an axis too far": (lambda ctx: nd.ones(2, ctx).sum(1), IndexError, "1"),
    "a list as operand": (lambda ctx: operator.add(nd.ones(2, ctx), [1]), TypeError, "+"),
    "a word put in": (lambda ctx: nd.ones(2, ctx).__setitem__(0, "x"), ValidationError, "'x'"),
    "an absent device": (lambda ctx: nd.ones(1, gpu(7)), DeviceNotFound, "Present: cpu(0)"),
    "a misspelt device": (lambda ctx: nd.ones(1, "cudda"), DeviceNotFound, "mean 'cuda'"),
    "a negative device": (lambda ctx: nd.ones(1, "gpu:-1"), DeviceNotFound, "starts at 0"),
    "a number for a device": (lambda ctx: nd.ones(1, 0), DeviceNotFound, "not by 0"),
    "a copy to nowhere": (lambda ctx: nd.ones(1, ctx).copyto(gpu(7)), DeviceNotFound, "gpu(7)"),
    "to be in nowhere": (
        lambda ctx: nd.ones(1, ctx).as_in_context("cudda"),
        DeviceNotFound,
        "'cudda'",
    ),
    "too large": (lambda ctx: nd.ones(2**50, ctx), DeviceOutOfMemory, "4,503,599,627,370,496"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(world: World, name: str) -> None:
    work, kind, text = REFUSED[name]
    assert text in refused(lambda: work(world.here), kind)


def test_an_unknown_array_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "nunpy")
    assert "Did you mean 'numpy'?" in refused(lambda: nd.ones(1), SpecError)


def test_arrays_of_two_libraries_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "numpy")
    x = nd.ones(2)
    monkeypatch.setenv("DURE_ARRAY_LIBRARY", "torch")
    assert "held by numpy, another by torch" in refused(lambda: x + nd.ones(2), DeviceMismatch)


def test_a_real_gpu_was_among_the_devices() -> None:
    if why_no_gpu():
        pytest.skip(why_no_gpu())
    assert nd.ones(1, gpu()).torch().is_cuda
