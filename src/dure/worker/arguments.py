"""What a method is called with: the arguments that it names, out of a batch."""

from typing import Any

import msgspec

from dure.executor.endpoints import Endpoint
from dure.executor.parameters import checked
from dure.worker.batch import Batch


def arguments_of(endpoint: Endpoint, batch: Batch) -> dict[str, Any]:
    """Return the keyword arguments for one call.

    Raises:
        ParametersError: Parameters that are not of the type that the method names.
    """
    values: dict[str, Any] = {"docs": batch.documents}
    if "parameters" in endpoint.arguments:
        given = msgspec.msgpack.decode(batch.call.parameters) if batch.call.parameters else {}
        values["parameters"] = given if endpoint.takes is None else checked(endpoint.takes, given)
    if "endpoint" in endpoint.arguments:
        values["endpoint"] = batch.call.endpoint
    if "docs_matrix" in endpoint.arguments:
        values["docs_matrix"] = batch.branches if len(batch.branches) > 1 else None
    return values
