"""A Flow for the suites that call one, and every way to call it."""

from collections.abc import Iterator

import pytest

from dure import Flow
from tests.contract.callers import KINDS, MAX_REQUEST_BYTES, Caller, opened
from tests.contract.services import Station


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    with Flow(max_request_bytes=MAX_REQUEST_BYTES).add(uses=Station, name="station", timeout_ready_s=20) as running:
        yield running


@pytest.fixture(scope="module", params=KINDS)
def caller(request: pytest.FixtureRequest, flow: Flow) -> Iterator[Caller]:
    with opened(request.param, flow.port) as made:
        yield made
