"""What a model is, on every array library and kind of device."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dure.device import nd, nn
from dure.device.context import Context, cpu, gpu
from dure.device.simulated import simulated_gpus
from dure.device.transfer import no_transfers, transfers
from dure.errors import (
    DeviceMismatch,
    DeviceNotFound,
    DeviceOutOfMemory,
    TransferForbidden,
    ValidationError,
)
from tests.contract.worlds import World, refused, world

__all__ = ["world"]


def model(*layers: nn.Block, ctx: Context | None = None) -> nn.Sequential:
    net = nn.Sequential()
    net.add(*layers)
    if ctx is not None:
        net.initialize(ctx=ctx)
    return net


def test_the_first_input_tells_the_shapes(world: World) -> None:
    net = model(nn.Dense(4, activation="relu"), nn.Dense(1), ctx=world.here)
    assert repr(net) == "Sequential(\n  (0): Dense(? -> 4, relu)\n  (1): Dense(? -> 1, linear)\n)"
    assert "no shape yet" in refused(lambda: net[0].weight.data(), ValidationError)
    with no_transfers():
        y = net(nd.ones((2, 3), world.here))
    assert (y.shape, y.context) == ((2, 1), world.here)
    assert [p.shape for p in net.collect_params().values()] == [(4, 3), (4,), (1, 4), (1,)]
    assert all(p.list_ctx() == [world.here] for p in net.collect_params().values())
    assert net[0].weight.data().context == world.here
    assert repr(net) == "Sequential(\n  (0): Dense(3 -> 4, relu)\n  (1): Dense(4 -> 1, linear)\n)"


def test_parameters_begin_as_in_mxnet(world: World) -> None:
    layer = nn.Dense(50, in_units=40)
    layer.initialize(ctx=world.here)
    weight = layer.weight.data().asnumpy()
    assert -0.07 <= weight.min() < -0.06
    assert 0.06 < weight.max() <= 0.07
    assert layer.bias is not None
    assert not layer.bias.data().asnumpy().any()


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (None, lambda a: a),
        ("relu", lambda a: np.maximum(a, 0)),
        ("sigmoid", lambda a: 1 / (1 + np.exp(-a))),
        ("tanh", np.tanh),
        ("softrelu", lambda a: np.log1p(np.exp(a))),
    ],
)
def test_what_a_layer_computes(world: World, activation: str | None, function: Callable[[Any], Any]) -> None:
    layer = nn.Dense(2, activation, in_units=3)
    layer.initialize(ctx=world.here)
    weight, bias, x = np.random.default_rng(1).normal(size=(3, 4, 3)).astype(np.float32)
    weight, bias = weight[:2], bias[0, :2]
    layer.weight.set_data(nd.array(weight, world.here))
    assert layer.bias is not None
    layer.bias.set_data(nd.array(bias, world.here))
    y = layer(nd.array(x, world.here))
    np.testing.assert_allclose(y.asnumpy(), function(x @ weight.T + bias), rtol=1e-4, atol=1e-6)


def test_a_layer_without_bias_and_without_flattening(world: World) -> None:
    x = nd.ones((2, 3, 4), world.here)
    flat = nn.Dense(5, use_bias=False)
    flat.initialize(ctx=world.here)
    assert flat(x).shape == (2, 5)
    assert list(flat.collect_params()) == [flat.weight.name]
    deep = nn.Dense(5, flatten=False)
    deep.initialize(ctx=world.here)
    assert deep(x).shape == (2, 3, 5)


def test_parameters_are_read_and_written(world: World) -> None:
    net = model(nn.Dense(1), ctx=world.here)
    weight = net[0].weight
    weight.set_data(nd.array([[1, 2, 3]], world.here))
    assert weight.data().asnumpy().tolist() == [[1, 2, 3]]
    assert weight.data() is weight.data(world.here)
    assert net(nd.ones((1, 3), world.here)).asnumpy().tolist() == [[6]]
    assert str(world.there) in refused(lambda: weight.data(world.there), DeviceMismatch)
    elsewhere = nd.ones((1, 3), world.there)
    assert "y.as_in_context" in refused(lambda: weight.set_data(elsewhere), DeviceMismatch)
    assert "(1, 3), not (1, 4)" in refused(lambda: weight.set_data(nd.ones((1, 4), world.here)), ValidationError)
    assert weight.data().asnumpy().tolist() == [[1, 2, 3]]


def test_a_model_moves_when_asked_and_is_counted(world: World) -> None:
    net = model(nn.Dense(2, in_units=3), nn.Dense(1), ctx=world.here)
    before = net[0].weight.data().asnumpy().copy()
    with no_transfers():
        refused(lambda: net.reset_ctx(world.there), TransferForbidden)
    with transfers() as t:
        net.reset_ctx(world.there)
    assert t.between(world.here, world.there).num_bytes == t.num_bytes == 4 * (2 * 3 + 2 + 1)
    np.testing.assert_array_equal(net[0].weight.data().asnumpy(), before)
    assert net(nd.ones((2, 3), world.there)).context == world.there
    with no_transfers():
        net.reset_ctx(world.there)


def test_an_input_from_elsewhere_is_refused(world: World) -> None:
    net = model(nn.Dense(1), ctx=world.here)
    text = refused(lambda: net(nd.ones((2, 3), world.there)), DeviceMismatch)
    assert f"x is in {world.there}, the model in {world.here}" in text
    assert f"x.as_in_context({world.here})" in text


def test_a_model_in_two_places_is_refused_with_who_is_where(world: World) -> None:
    net = model(nn.Dense(2), nn.Dense(1))
    net[0].initialize(ctx=world.here)
    net[1].initialize(ctx=world.there)
    names = list(net.collect_params())
    for x in (nd.ones((2, 3), world.here), nd.ones((2, 3), world.there)):
        text = refused(lambda x=x: net(x), DeviceMismatch)  # type: ignore[misc]
        assert f"{world.here}: {names[0]}, {names[1]}" in text
        assert f"{world.there}: {names[2]}, {names[3]}" in text
        assert f"net.reset_ctx({x.context})" in text
    net.reset_ctx(world.here)
    assert net(nd.ones((2, 3), world.here)).shape == (2, 1)


def test_a_model_that_is_not_initialized_is_refused(world: World) -> None:
    net = model(nn.Dense(1, in_units=3))
    x = nd.ones((2, 3), world.here)
    name = net[0].weight.name
    uses: list[Callable[[], Any]] = [
        lambda: net(x),
        lambda: net[0].weight.data(),
        lambda: net[0].weight.list_ctx(),
        lambda: net[0].weight.set_data(x),
        lambda: net.reset_ctx(world.here),
    ]
    for use in uses:
        assert f"{name} is not initialized" in refused(use, ValidationError)


def test_initializing_again(world: World) -> None:
    net = model(nn.Dense(1, in_units=3), ctx=world.here)
    first = net[0].weight.data()
    net.add(nn.Dense(2))
    net.initialize(ctx=world.here)
    assert net[0].weight.data() is first
    text = refused(lambda: net.initialize(ctx=world.there), ValidationError)
    assert f"reset_ctx({world.there})" in text
    net.initialize(ctx=world.there, force_reinit=True)
    assert net[0].weight.data().context == world.there
    assert net(nd.ones((1, 3), world.there)).shape == (1, 2)


REFUSED: dict[str, tuple[Callable[[Context], Any], type[BaseException], str]] = {
    "an absent device": (
        lambda ctx: nn.Dense(1).initialize(ctx=gpu(7)),
        DeviceNotFound,
        "gpu(7) is not on this machine",
    ),
    "a misspelt device": (
        lambda ctx: nn.Dense(1).initialize(ctx="cudda"),
        DeviceNotFound,
        "'cudda'",
    ),
    "two devices": (lambda ctx: nn.Dense(1).initialize(ctx=[ctx, cpu()]), DeviceNotFound, "cpu(0)]"),
    "no units": (lambda ctx: nn.Dense(0), ValidationError, "units=0"),
    "an unknown activation": (lambda ctx: nn.Dense(1, "rellu"), ValidationError, "mean 'relu'"),
    "no block": (lambda ctx: model(len), ValidationError, "built-in function len"),  # type: ignore[arg-type]
    "no array": (lambda ctx: model(nn.Dense(1), ctx=ctx)([[1.0]]), ValidationError, "not list"),  # type: ignore[arg-type]
    "no batch": (
        lambda ctx: model(nn.Dense(1), ctx=ctx)(nd.ones(3, ctx)),
        ValidationError,
        "x.reshape(1, -1)",
    ),
    "another width": (
        lambda ctx: model(nn.Dense(1, in_units=3), ctx=ctx)(nd.ones((2, 4), ctx)),
        ValidationError,
        "takes 3 inputs, x of (2, 4) has 4",
    ),
    "another type": (
        lambda ctx: model(nn.Dense(1), ctx=ctx)(nd.ones((2, 4), ctx, "float64")),
        ValidationError,
        "x.astype('float32')",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(world: World, name: str) -> None:
    work, kind, text = REFUSED[name]
    assert text in refused(lambda: work(world.here), kind)


def test_a_model_that_does_not_fit(world: World) -> None:
    if not world.simulated or world.on_host:
        pytest.skip("only simulated devices are that small")
    with simulated_gpus(2, memory_bytes=1000):
        layer = nn.Dense(100, in_units=3)
        text = refused(lambda: layer.initialize(ctx=world.here), DeviceOutOfMemory)
        assert "1,200 bytes are needed, 1,000 of 1,000 are free" in text
