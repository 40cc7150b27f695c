"""Sums by real processes, over gloo: the same bytes whoever adds up."""

import multiprocessing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from dure.learning.crew import ALONE, shares_of
from dure.learning.process_group import ProcessGroup, backend_for

LENGTH = 1003  # divided by 2, 3 and 4 without a rest it is not
SIZES = (1, 2, 3, 4)


def vector_of(share: int) -> torch.Tensor:
    """Numbers of such different sizes that their sum depends on the order."""
    chance = torch.Generator().manual_seed(share)
    return torch.randn(LENGTH, generator=chance) * 10.0 ** torch.randint(-4, 5, (LENGTH,), generator=chance)


def be_one(rank: int, shares: int, folder: str) -> None:
    for size in SIZES:
        if rank >= size:
            continue
        store: Any = dist.FileStore(f"{folder}/{size}", size)  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=40))
        crew = ProcessGroup(shares)
        mine = shares_of(rank, size, shares)
        for length in (LENGTH // 2, LENGTH):  # the second time in a row it must not see what the first left
            crew.summed(vector_of(share)[:length] for share in reversed(mine))
        crew.sent_bytes = 0
        found = {
            "sum": crew.summed(vector_of(share) for share in mine),
            "sent": crew.sent_bytes,
            "parts": crew.gathered([f"part {share}" for share in mine]),
            "said": [crew.any(rank == size - 1), crew.any(False)],
        }
        torch.save(found, f"{folder}/{size}.{rank}.pt")
        dist.destroy_process_group()


def sums(shares: int, folder: Path) -> list[dict[str, Any]]:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=be_one, args=(rank, shares, str(folder))) for rank in range(max(SIZES))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(50)
        assert process.exitcode == 0
    return [torch.load(folder / f"{size}.{rank}.pt") for size in SIZES for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize("shares", [4, 6])
def test_a_sum_is_the_same_to_the_byte_for_any_number_of_workers(shares: int, tmp_path: Path) -> None:
    expected = ALONE.summed(vector_of(share) for share in range(shares))
    backwards = ALONE.summed(vector_of(share) for share in reversed(range(shares)))
    assert not torch.equal(expected, backwards), "these numbers tell nothing of the order"
    for found in sums(shares, tmp_path):
        assert found["sum"].numpy().tobytes() == expected.numpy().tobytes()
        assert found["parts"] == [f"part {share}" for share in range(shares)]
        assert found["said"] == [True, False]


@pytest.mark.slow
def test_with_a_share_each_as_much_is_sent_as_by_a_ring(tmp_path: Path) -> None:
    sent = {found["sent"] for found in sums(4, tmp_path)[-4:]}  # by each of four, of four shares
    width = -(-LENGTH // 4)
    assert sent == {2 * 3 * width * 4}, "a ring sends 2 (n - 1) / n of the vector, of 4 bytes a number"


@pytest.mark.parametrize(("size", "shares"), [(1, 1), (1, 5), (2, 5), (4, 4), (3, 7)])
def test_every_share_is_somebodys_and_in_order(size: int, shares: int) -> None:
    runs = [shares_of(rank, size, shares) for rank in range(size)]
    assert [share for run in runs for share in run] == list(range(shares))
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_which_library_carries_what() -> None:
    assert backend_for(False) == "gloo"
    assert "nccl" in backend_for(True)
