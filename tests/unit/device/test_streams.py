"""Which threads get a stream of their own. What PyTorch does with one is tested on a real GPU only."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from dure.device.streams import use_own_stream
from tests.contract.worlds import why_no_gpu


def library(seen: list[Any], *, available: bool, initialized: bool) -> Any:
    """Stand in for PyTorch on a machine with a GPU, which may not be here; note what is asked of it."""
    cuda = SimpleNamespace(
        is_available=lambda: available,
        is_initialized=lambda: initialized,
        synchronize=lambda: seen.append("synchronize"),
        Stream=object,
        set_stream=seen.append,
    )
    return SimpleNamespace(cuda=cuda)


def test_a_thread_waits_for_the_weights_and_takes_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setitem(sys.modules, "torch", library(seen, available=True, initialized=True))
    use_own_stream()
    use_own_stream()
    assert [seen[0], seen[2]] == ["synchronize"] * 2
    assert seen[1] is not seen[3]


@pytest.mark.parametrize(("available", "initialized"), [(False, False), (True, False)])
def test_a_gpu_that_is_not_used_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, *, available: bool, initialized: bool
) -> None:
    seen: list[Any] = []
    monkeypatch.setitem(sys.modules, "torch", library(seen, available=available, initialized=initialized))
    use_own_stream()
    assert seen == []


def test_it_imports_nothing() -> None:
    code = "import sys; from dure.device.streams import use_own_stream; use_own_stream(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


@pytest.fixture
def torch() -> Iterator[Any]:
    why = why_no_gpu()
    if why:
        pytest.skip(why)
    import torch

    torch.cuda.init()  # type: ignore[no-untyped-call]
    yield torch
    torch.cuda.synchronize()


def test_threads_of_a_real_gpu_have_different_streams(torch: Any) -> None:
    with (
        ThreadPoolExecutor(1, initializer=use_own_stream) as one,
        ThreadPoolExecutor(1, initializer=use_own_stream) as two,
    ):
        streams = {pool.submit(lambda: torch.cuda.current_stream().cuda_stream).result() for pool in (one, two)}
    assert len(streams | {torch.cuda.current_stream().cuda_stream}) == 3
