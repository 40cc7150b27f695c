"""Errors of an Executor that its caller can put right, told as such: a wrong value is not a failure of the Executor."""

from collections.abc import Iterator
from contextlib import contextmanager

from dure.errors import ModelNotFound, ParametersError, RequestError, SpecError


@contextmanager
def callers_fault() -> Iterator[None]:
    """Tell what was wrong with a request as an error of its parameters."""
    try:
        yield
    except (RequestError, SpecError, ModelNotFound) as error:
        raise ParametersError(str(error)) from error
