"""Flows that are exported, and what stands in an export, by name."""

from pathlib import Path
from typing import Any

import yaml

from dure.export.compose import NGINX_IMAGE, Composition, composition_of
from dure.export.kubernetes import Cluster, Manifests, manifests_of
from dure.export.workload import Wishes
from dure.flow.yaml_io import flow_of
from dure.spec import FlowSpec

IMAGE = "registry.example/encoder:1"
BARE = Wishes()
CLUSTER = Cluster()


def flow_file(folder: Path, *, gateway: dict[str, Any] | None = None, **executor: Any) -> Path:
    """Write a Flow of one Executor, called `encoder`, that may be exported anywhere."""
    values = {
        "jtype": "Flow",
        "with": {"insecure": True, **(gateway or {})},
        "executors": [{"uses": f"docker://{IMAGE}", "name": "encoder", **executor}],
    }
    return written(folder, yaml.safe_dump(values, sort_keys=False))


def written(folder: Path, text: str) -> Path:
    path = folder / "flow.yml"
    path.write_text(text, encoding="utf-8")
    return path


def kubernetes(path: Path, wishes: Wishes = BARE, cluster: Cluster = CLUSTER) -> Manifests:
    return manifests_of(path, wishes, cluster)


def compose(path: Path, wishes: Wishes = BARE) -> Composition:
    return composition_of(path, wishes, NGINX_IMAGE, path.parent / "compose.yaml")


def manifest(made: Manifests, kind: str, name: str) -> Any:
    (found,) = [one for one in made.documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods(made: Manifests, name: str = "flow-encoder") -> Any:
    return manifest(made, "Deployment", name)["spec"]["template"]["spec"]


def container(made: Manifests, name: str = "flow-encoder") -> Any:
    (found,) = pods(made, name)["containers"]
    return found


def mounted(made: Manifests, name: str = "flow-encoder") -> dict[str, Any]:
    """Place in a container -> the volume that is there."""
    volumes = {volume["name"]: volume for volume in pods(made, name)["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] | mount for mount in container(made, name)["volumeMounts"]}


def flow_in(made: Manifests | Composition, name: str) -> FlowSpec:
    """The Flow that a workload runs: `encoder`, or `gateway`."""
    if isinstance(made, Composition):
        return flow_of(made.beside[f"{name}.yml"], fill=False)
    return flow_of(manifest(made, "ConfigMap", "flow-flow")["data"][f"{name}.yml"], fill=False)
