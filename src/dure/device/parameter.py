"""A parameter: the array that a layer keeps, from when it is declared until it has a shape and a place.

Knows when it may be used and that it moves only when asked; does not know what it is used for.
"""

from collections.abc import Callable
from typing import Any

from dure.device.array import NDArray
from dure.device.context import Context, parse_context
from dure.device.creation import zeros
from dure.device.library import place_of
from dure.device.operators import mismatch
from dure.device.random import uniform
from dure.errors import DeviceMismatch, ValidationError

Init = Callable[[tuple[int, ...], Context, str], NDArray]
"""Makes the first value of a parameter, where it is to live."""


def small_random(shape: tuple[int, ...], context: Context, dtype: str) -> NDArray:
    """Return numbers spread evenly between -0.07 and 0.07, as MXNet begins weights."""
    return uniform(-0.07, 0.07, shape, context, dtype)


def nothing(shape: tuple[int, ...], context: Context, dtype: str) -> NDArray:
    """Return zeros, as biases begin."""
    return zeros(shape, context, dtype)


class Parameter:
    """One array of a model.

    Args:
        name: How messages call it.
        shape: Its shape; 0 stands for a length that the first input will tell.
        init: Makes its first value.
        dtype: Type of its elements.
    """

    def __init__(self, name: str, shape: tuple[int, ...], init: Init, dtype: str = "float32") -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self._init = init
        self._context: Context | None = None
        self._array: NDArray | None = None

    def __repr__(self) -> str:
        shape = "x".join(str(size or "?") for size in self.shape)
        return f"Parameter {self.name} ({shape} {self.dtype} @{self._context or 'nowhere yet'})"

    @property
    def context(self) -> Context | None:
        """Where it lives, or will as soon as its shape is known; `None` before `initialize`."""
        return self._context

    def list_ctx(self) -> list[Context]:
        """Return where it lives: one context.

        Raises:
            ValidationError: It is not initialized.
        """
        return [self._ready()]

    def initialize(self, ctx: Any = None, *, force_reinit: bool = False) -> None:
        """Decide where to live, and make the first value there if the shape is known.

        Raises:
            DeviceNotFound: There is no such device.
            ValidationError: It lives elsewhere already; `force_reinit` begins anew.
        """
        wanted = place_of(ctx).context
        if self._context is not None and not force_reinit:
            if self._context != wanted:
                raise ValidationError(
                    f"{self.name} is initialized in {self._context} already. To move it to {wanted}"
                    f" call reset_ctx({wanted}), to begin anew initialize(…, force_reinit=True)."
                )
            return
        array = self._made(wanted) if all(self.shape) else None
        self._context, self._array = wanted, array

    def complete(self, shape: tuple[int, ...]) -> None:
        """Take the shape that the first input told, and make the first value.

        Raises:
            ValidationError: It is not initialized.
        """
        if self._array is None:
            context = self._ready()
            self.shape = shape
            self._array = self._made(context)

    def data(self, ctx: Context | str | None = None) -> NDArray:
        """Return the value, where it lives.

        Args:
            ctx: Where it is, for those who want to be sure.

        Raises:
            DeviceMismatch: It lives elsewhere.
            ValidationError: It is not initialized, or has no shape yet.
        """
        context = self._ready()
        if self._array is None:
            raise ValidationError(f"{self.name} has no shape yet: call the model once, or give the layer in_units.")
        if ctx is not None and parse_context(ctx) != context:
            raise DeviceMismatch(f"{self.name} is in {context}, not in {ctx}: call .data().as_in_context({ctx})")
        return self._array

    def set_data(self, array: NDArray) -> None:
        """Put another value in place of this one, in the same context.

        Raises:
            DeviceMismatch: The array lives elsewhere; nothing moves by itself.
            ValidationError: It has another shape, or the parameter is not initialized.
        """
        context = self._ready()
        if self._array is None:
            self._fit(array)
            self.complete(array.shape)
        own = self.data(context)
        if array.place is not own.place:
            raise mismatch(f"{self.name}.set_data(y)", (own, array))
        self._fit(array)
        array.astype(own.dtype).copyto(own)

    def reset_ctx(self, ctx: Context | str) -> None:
        """Move to another context; a move the ledger counts.

        Raises:
            DeviceNotFound: There is no such device.
            TransferForbidden: Inside `no_transfers()`.
            ValidationError: It is not initialized.
        """
        self._ready()
        wanted = place_of(ctx).context
        if self._array is not None:
            self._array = self._array.as_in_context(wanted)
        self._context = wanted

    def _ready(self) -> Context:
        if self._context is None:
            raise ValidationError(f"{self.name} is not initialized: call initialize(ctx=…) on the model first.")
        return self._context

    def _made(self, context: Context) -> NDArray:
        return self._init(self.shape, context, self.dtype)

    def _fit(self, array: NDArray) -> None:
        fits = len(array.shape) == len(self.shape) and all(
            own in (0, given) for own, given in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise ValidationError(f"{self.name} is shaped {self.shape}, not {array.shape}.")
