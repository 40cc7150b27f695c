"""What `make fuzz` gives its tests: seconds, shared out among them, and a seed.

FUZZ_SECONDS is the time for all tests together, FUZZ_SEED what inputs are drawn from: with the same seed the same
inputs are drawn in the same order.
"""

import os
from collections.abc import Iterator

import pytest

from tests.fuzz.search import Search
from tests.fuzz.service import Service, serving

TOTAL_S = float(os.environ.get("FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

_shares = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "share(n): a test that gets the time of n others")


def pytest_report_header() -> str:
    return f"fuzzing for about {TOTAL_S:g} s (FUZZ_SECONDS) with seed {SEED} (FUZZ_SEED)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[_shares] = sum(map(_share, items))
    for item in items:
        item.add_marker(pytest.mark.timeout(60 + 3 * seconds_of(item)))
        item.add_marker(pytest.mark.filterwarnings("ignore:Generating overly large repr"))


def _share(item: pytest.Item) -> int:
    mark = item.get_closest_marker("share")
    return 1 if mark is None else int(mark.args[0])


def seconds_of(item: pytest.Item) -> float:
    return TOTAL_S * _share(item) / item.config.stash[_shares]


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How long this test may look."""
    return seconds_of(request.node)


@pytest.fixture
def search(seconds: float) -> Search:
    """Looks for inputs that do harm for as long as this test may."""
    return Search(seconds, SEED)


@pytest.fixture
def seed() -> int:
    """What inputs are drawn from."""
    return SEED


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "log") as service:
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """A Flow that is as well after the test as it was before."""
    yield running
    running.check()
