from pathlib import Path
from typing import Any

import pytest

from dure.errors import SpecError
from dure.export.kubernetes import Cluster
from tests.unit.export.exported import container, flow_file, kubernetes, mounted, pods


def test_pods_may_do_no_more_than_they_need(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path))
    for name in ("flow-encoder", "flow-gateway"):
        assert pods(made, name)["automountServiceAccountToken"] is False
        assert pods(made, name)["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container(made, name)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert mounted(made, name)["/tmp"]["emptyDir"] == {}


def test_who_asks_for_root_is_root(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path, user="0"))
    assert (pods(made)["securityContext"]["runAsUser"], pods(made)["securityContext"]["runAsNonRoot"]) == (0, False)


@pytest.mark.parametrize(
    ("gpus", "count"), [(1, "1"), ("2", "2"), ("count=4", "4"), ("driver=nvidia", "1"), ("driver=nvidia,count=2", "2")]
)
def test_a_number_of_gpus(gpus: Any, count: str, tmp_path: Path) -> None:
    assert container(kubernetes(flow_file(tmp_path, gpus=gpus)))["resources"] == {"limits": {"nvidia.com/gpu": count}}


def test_a_gpu_may_be_called_otherwise_and_say_what_it_can(tmp_path: Path) -> None:
    made = kubernetes(
        flow_file(tmp_path, gpus="count=1,capabilities=compute,utility"), cluster=Cluster(gpu="nvidia.com/mig-1g.10gb")
    )
    assert container(made)["resources"]["limits"] == {"nvidia.com/mig-1g.10gb": "1"}
    assert container(made)["env"] == [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}]


@pytest.mark.parametrize(
    ("gpus", "why"),
    [
        ("all", "not all of a machine"),
        ("0,1", r"not which ones \(0,1\)"),
        ("device=0", r"not which ones \(0\)"),
        ("GPU-4f2c1a2b", "which ones"),
        ("MIG-8a1b2c3d", "--gpu-resource nvidia.com/mig-"),
        ("0:1", "--gpu-resource nvidia.com/mig-"),
        ("driver=amd", "driver=amd"),
    ],
)
def test_gpus_that_kubernetes_cannot_be_asked_for(gpus: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"executors\[0\]\.gpus: .*{why}"):
        kubernetes(flow_file(tmp_path, gpus=gpus))


@pytest.mark.parametrize(("size", "num"), [("1g", 2**30), ("64Mb", 2**26), (1000, 1000), ("1GiB", 2**30)])
def test_shared_memory_counts_as_docker_does(size: Any, num: int, tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path, docker_kwargs={"shm_size": size}))
    assert mounted(made)["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": str(num)}


@pytest.mark.parametrize("source", ["/srv/models", "./models", "~/models"])
def test_folders_of_the_host_are_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"volumes\[0\]: .* --host-paths"):
        kubernetes(flow_file(tmp_path, volumes=f"{source}:/models"))


def test_folders_that_all_nodes_have(tmp_path: Path) -> None:
    nodes = Cluster(host_paths=True)
    made = kubernetes(flow_file(tmp_path, volumes=["/srv/m:/m:ro", "/srv/o:/root/.cache:create"]), cluster=nodes)
    assert mounted(made)["/m"]["hostPath"] == {"path": "/srv/m"}
    assert mounted(made)["/m"]["readOnly"] is True
    assert mounted(made)["/home/dure/.cache"]["hostPath"] == {"path": "/srv/o", "type": "DirectoryOrCreate"}
    with pytest.raises(SpecError, match="is written from /"):
        kubernetes(flow_file(tmp_path, volumes="~/models:/m"), cluster=nodes)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"user": "nobody"}, "user: 'nobody': Kubernetes takes numbers"),
        ({"docker_kwargs": {"cap_add": ["SYS_ADMIN"]}}, r"docker_kwargs\.cap_add: .* has no counterpart"),
        ({"env": {"A": "1"}, "uses_with": {"x": "${{ ENV.A }}"}}, "env.A: is named elsewhere"),
    ],
)
def test_what_has_no_counterpart(settings: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=why):
        kubernetes(flow_file(tmp_path, **settings))
