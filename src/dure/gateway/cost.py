"""What a request costs, told from its payload: what batches are bounded and grouped by.

By rows nothing is looked at; the other ways read texts or documents here, in the gateway, which costs it time. Knows
nothing of queues.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from dure.document.forms import decode_form, text_sizes
from dure.errors import ExecutorError, SpecError, ValidationError
from dure.gateway.job import Job, Payload
from dure.spec import BatchSpec

_BYTES_PER_TOKEN = 4
"""Of English text in UTF-8, about; of Korean a token is one or two characters of three bytes."""
_SPECIAL_TOKENS = 2


def assess(job: Job, spec: BatchSpec) -> None:
    """Fill in `cost` and `longest` of a request.

    Raises:
        DecodeError: Its payload cannot be read.
        ValidationError: One document alone costs more than a batch may, or a cost is none.
        ExecutorError: The function that tells costs failed.
        SpecError: There is no such function.
    """
    if spec.cost == "rows":
        job.cost = float(job.rows)
    else:
        costs = _costs(job, spec.cost)
        job.cost, job.longest = sum(costs), max(costs, default=0.0)
    if spec.max_batch_cost is not None and job.longest > spec.max_batch_cost:
        raise ValidationError(
            f"a document of this request costs {job.longest:,.0f} by {spec.cost}; a whole batch may cost"
            f" {spec.max_batch_cost:,.0f} (max_batch_cost): send a smaller one, or raise the limit"
        )


def estimated_tokens(form: str, payload: Payload) -> int:
    """Return about how many tokens the texts of documents have.

    Raises:
        DecodeError: Bytes that are not of this form.
    """
    return round(sum(_tokens(form, payload)))


def tokens_of(sizes: Sequence[int]) -> list[float]:
    """Return about how many tokens each of some texts has, by their bytes in UTF-8."""
    return [size / _BYTES_PER_TOKEN + _SPECIAL_TOKENS for size in sizes]


def _tokens(form: str, payload: Payload) -> list[float]:
    return tokens_of(text_sizes(form, payload))


def _costs(job: Job, name: str) -> Sequence[float]:
    if name == "bytes":
        share = sum(map(len, job.payloads)) / max(job.rows, 1)
        return [share] * job.rows
    if name == "tokens":
        return [tokens for payload in job.payloads for tokens in _tokens(job.form, payload)]
    documents = [document for payload in job.payloads for document in decode_form(job.form, payload)]
    function = cost_function(name)
    try:
        costs = [float(function(document)) for document in documents]
    except Exception as error:
        raise ExecutorError(f"the cost function {name} failed: {type(error).__name__}: {error}") from error
    if not all(0 <= cost < float("inf") for cost in costs):
        raise ValidationError(f"the cost function {name} gave {min(costs):g} to {max(costs):g}; a cost is 0 or more")
    return costs


@cache
def cost_function(name: str) -> Callable[[Any], float]:
    """Import the function `module:function`, which is given a Document and returns what it costs.

    Raises:
        SpecError: It cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpecError(
            f"batching.cost: {name!r} cannot be imported by the gateway ({error}); it must be a function at the top of"
            " a module that can be found from where the Flow is started"
        ) from error
    if not callable(function):
        raise SpecError(f"batching.cost: {name!r} is not a function but {type(function).__name__}")
    return function  # type: ignore[no-any-return]  # checked to be one
