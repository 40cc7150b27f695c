"""Models with a context: `from dure import nn`. The names and habits are those of MXNet's `gluon.nn`.

Knows that the parameters of a model live together and that its input must be there too. Only runs
forward: to train, take the tensors (`.torch()`) to PyTorch.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from dure.device.array import NDArray
from dure.device.functions import relu, sigmoid, softplus, tanh
from dure.device.parameter import Parameter, nothing, small_random
from dure.errors import DeviceMismatch, ValidationError
from dure.spec import suggest

__all__ = ["Block", "Dense", "Parameter", "Sequential"]

_ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "softrelu": softplus, "tanh": tanh}
_numbers = itertools.count()


class Block:
    """A part of a model, or all of it. A subclass says what it is made of and what it computes."""

    def children(self) -> tuple["Block", ...]:
        """Return the blocks it is made of."""
        return ()

    def own_params(self) -> tuple[Parameter, ...]:
        """Return the parameters that it keeps itself, without those of its children."""
        return ()

    def forward(self, x: NDArray) -> NDArray:
        """Compute; called with the input and the parameters in one place."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it computes: forward")

    def __call__(self, x: NDArray) -> NDArray:
        """Compute the output, in the context where input and parameters live.

        Raises:
            DeviceMismatch: The parameters are not all in one context, or the input is in another.
            ValidationError: A parameter is not initialized, or the input does not fit.
        """
        if not isinstance(x, NDArray):
            raise ValidationError(f"a model takes an NDArray, not {type(x).__name__}: nd.array(…)")
        self._live_with(x)
        return self.forward(x)

    def collect_params(self) -> dict[str, Parameter]:
        """Return all parameters by name, those of the children included."""
        parts = [self.own_params(), *(child.collect_params().values() for child in self.children())]
        return {parameter.name: parameter for part in parts for parameter in part}

    def initialize(self, ctx: Any = None, *, force_reinit: bool = False) -> None:
        """Give every parameter a place and a first value, as soon as its shape is known.

        Args:
            ctx: Where the model is to live, the host if none is given.
            force_reinit: Begin anew also where there are values.

        Raises:
            DeviceNotFound: There is no such device.
            ValidationError: A parameter lives elsewhere already.
        """
        for parameter in self.collect_params().values():
            parameter.initialize(ctx, force_reinit=force_reinit)

    def reset_ctx(self, ctx: Any) -> None:
        """Move every parameter to another context; moves the ledger counts.

        Raises:
            DeviceNotFound: There is no such device.
            TransferForbidden: Inside `no_transfers()`.
            ValidationError: A parameter is not initialized.
        """
        for parameter in self.collect_params().values():
            parameter.reset_ctx(ctx)

    def _live_with(self, x: NDArray) -> None:
        parameters = self.collect_params().values()
        if all(parameter.context == x.context for parameter in parameters):
            return
        homes: dict[str, list[str]] = {}
        for parameter in parameters:
            homes.setdefault(str(*parameter.list_ctx()), []).append(parameter.name)
        if len(homes) == 1:
            (home,) = homes
            raise DeviceMismatch(
                f"net(x): x is in {x.context}, the model in {home}. Nothing moves by itself; bring"
                f" them together: x.as_in_context({home})"
            )
        told = "; ".join(f"{home}: {', '.join(names)}" for home, names in homes.items())
        raise DeviceMismatch(
            f"net(x): the model's parameters are not in one place. {told}. Nothing moves by itself;"
            f" bring them together: net.reset_ctx({x.context})"
        )


class Sequential(Block):
    """Blocks one after the other."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def add(self, *blocks: Block) -> None:
        """Put blocks at the end.

        Raises:
            ValidationError: Something is no Block.
        """
        for block in blocks:
            if not isinstance(block, Block):
                raise ValidationError(f"Sequential.add: a Block is needed, not {block!r:.80}.")
        self._blocks.extend(blocks)

    def children(self) -> tuple[Block, ...]:
        """Return the blocks, the first one first."""
        return tuple(self._blocks)

    def forward(self, x: NDArray) -> NDArray:
        """Give the input to the first block, its output to the second, and so on."""
        for block in self._blocks:
            x = block(x)
        return x

    def __getitem__(self, index: int) -> Any:
        return self._blocks[index]

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def __repr__(self) -> str:
        lines = [f"  ({index}): {block!r}" for index, block in enumerate(self._blocks)]
        return "\n".join(["Sequential(", *lines, ")"])


class Dense(Block):
    """A layer in which every output depends on every input: activation(x W^T + b).

    Args:
        units: Number of outputs.
        activation: `relu`, `sigmoid`, `tanh` or `softrelu`; none if not given.
        use_bias: Add b.
        flatten: Take all axes but the first as one, (batch, …) -> (batch, in_units).
        in_units: Number of inputs; if not given, the first input tells.

    Raises:
        ValidationError: A number is out of range, or there is no such activation.
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        flatten: bool = True,
        in_units: int = 0,
    ) -> None:
        if units < 1 or in_units < 0:
            raise ValidationError(f"Dense: units={units}, in_units={in_units}: there are too few.")
        if activation is not None and activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            hint = suggest(activation, _ACTIVATIONS)
            raise ValidationError(f"Dense: no activation {activation!r}.{hint} Known are: {known}.")
        name = f"dense{next(_numbers)}"
        self.weight = Parameter(f"{name}_weight", (units, in_units), small_random)
        self.bias = Parameter(f"{name}_bias", (units,), nothing) if use_bias else None
        self._activation = activation
        self._flatten = flatten

    def own_params(self) -> tuple[Parameter, ...]:
        """Return the weight, (units, in_units), and the bias, (units,), if there is one."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def forward(self, x: NDArray) -> NDArray:
        """Compute (batch, in_units) -> (batch, units)."""
        if x.ndim < 2:
            raise ValidationError(f"Dense: a batch (batch, in_units) is needed, not {x.shape}: x.reshape(1, -1)")
        x = x.flatten() if self._flatten and x.ndim > 2 else x
        self.weight.complete((self.weight.shape[0], x.shape[-1]))
        weight, place = self.weight.data(), x.place
        if x.shape[-1] != weight.shape[1]:
            raise ValidationError(
                f"{self.weight.name} takes {weight.shape[1]} inputs, x of {x.shape} has {x.shape[-1]}."
            )
        if x.dtype != weight.dtype:
            raise ValidationError(f"{self.weight.name} is {weight.dtype}, x is {x.dtype}: x.astype('{weight.dtype}')")
        bias = None if self.bias is None else self.bias.data().value
        y = NDArray(place.apply(place.function("linear"), x.value, weight.value, bias), place)
        return y if self._activation is None else _ACTIVATIONS[self._activation](y)

    def __repr__(self) -> str:
        units, inputs = self.weight.shape
        return f"Dense({inputs or '?'} -> {units}, {self._activation or 'linear'})"
