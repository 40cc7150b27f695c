"""What an array's context costs: operators of `nd` beside the same operators of the array library alone.

The bare value and the array share their memory, and run in turn. Takes the clocks as they are given.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dure.bench.clock import Clock
from dure.bench.products import Clocks
from dure.bench.timing import Effort, Spread, compared, ratio
from dure.device import nd
from dure.device.array import NDArray
from dure.device.context import Context

SIDE = 1000
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": operator.add,
    "x * y": operator.mul,
    "x + 1.0": lambda left, _: left + 1.0,
    "x @ y": operator.matmul,
}


@dataclass(frozen=True, slots=True)
class Overhead:
    """One operator on arrays of one size.

    Args:
        device: Where.
        operator: As it is written.
        side: Rows and columns of both operands.
        bare: Seconds of the array library alone.
        ours: Seconds of `nd`.
        ratio: `ours` over `bare`, round by round.
        added_s: Seconds that `nd` takes longer, median of the rounds.
    """

    device: str
    operator: str
    side: int
    bare: Spread
    ours: Spread
    ratio: Spread
    added_s: float


def overheads(context: Context, side: int, clocks: Clocks, effort: Effort) -> list[Overhead]:
    """Measure operators on arrays of `side` x `side`, and on arrays of one element, where the check is all there is.

    Raises:
        DeviceNotFound: The device is not on this machine.
    """
    # The last per cent takes many rounds: far more than a rate does.
    patient = replace(effort, max_samples=4 * effort.max_samples, point_s=2 * effort.point_s)
    large = [_measured(name, side, context, clocks.host, patient) for name in _OPERATORS]
    return [*large, _measured("x + y", 1, context, clocks.host, patient)]


def _measured(name: str, side: int, context: Context, clock: Clock, effort: Effort) -> Overhead:
    function = _OPERATORS[name]
    left, right = (nd.random.uniform(-1.0, 1.0, (side, side), context) for _ in range(2))
    bare_left, bare_right = left.value, right.value

    def ours() -> NDArray:
        result: NDArray = function(left, right)
        return result

    rounds = compared({"bare": lambda: function(bare_left, bare_right), "ours": ours}, clock, effort)
    added = [a - b for a, b in zip(rounds["ours"], rounds["bare"], strict=True)]
    bare, own = Spread.of(rounds["bare"]), Spread.of(rounds["ours"])
    ratios = ratio(rounds["ours"], rounds["bare"])
    return Overhead(str(context), name, side, bare, own, ratios, Spread.of(added).median)
