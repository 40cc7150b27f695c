from typing import Any

import pytest

from dure.bulk.ray_data import Share, check_for_ray, share_of
from dure.errors import SpecError
from dure.executor.base import Executor
from dure.spec import BatchSpec, ExecutorSpec


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, Share(1, 0)),
        ({"cpu_threads": 4, "device": "cpu"}, Share(4, 0)),
        ({"device": "gpu"}, Share(1, 1)),
        ({"device": "cuda", "device_memory": 0.25}, Share(1, 0.25)),
    ],
)
def test_a_worker_takes_what_its_device_says(settings: dict[str, Any], share: Share) -> None:
    assert share_of(ExecutorSpec(uses=Executor, **settings)) == share


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"device": "gpu:1"}, "Ray chooses which one"),
        ({"device": "auto"}, "Ray chooses which one"),
        ({"device": "gpu", "device_memory": "6GiB"}, "a share of a GPU"),
        ({"device_memory": 0.5}, "device_memory"),
        ({"batching": BatchSpec()}, "batching: means nothing"),
        ({"concurrency": 2}, "concurrency: means nothing"),
        ({"uses": "docker://image"}, "docker://image"),
        ({"uses": "hub://Name"}, "hub://Name"),
    ],
)
def test_what_ray_has_no_word_for_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        check_for_ray(ExecutorSpec(**{"uses": Executor, **settings}))
