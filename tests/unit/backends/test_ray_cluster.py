import socket
import time

import pytest

from dure.backends.ray_cluster import Cluster
from dure.errors import SpecError, StartFailed

pytest.importorskip("ray")


def test_no_cluster_at_an_address_is_told_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.perf_counter()

    told = rf"no Ray cluster answers at 127\.0\.0\.1:{port}.*ray start --head"
    with pytest.raises(StartFailed, match=told):
        Cluster.connect(f"127.0.0.1:{port}")

    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("address", ["ray://head", "head", "head:", ":6379"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(SpecError, match="is no address of Ray"):
        Cluster.connect(address)


def test_who_listens_there_and_is_no_cluster_is_found_out_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.perf_counter()
        with pytest.raises(StartFailed, match="no Ray cluster"):
            Cluster.connect(f"127.0.0.1:{silent.getsockname()[1]}")

    assert time.perf_counter() - began < 10
