"""Pods: what a container of a stack may have and do in Kubernetes, and how it is asked whether it is well."""

import hashlib
import re
from typing import Any, TypeAlias

from msgspec import Struct

from dure.backends.gpus import ALL, Gpus
from dure.backends.image import PORT
from dure.backends.volumes import Volume
from dure.errors import SpecError
from dure.export.ports import METRICS_PORT, Door
from dure.export.probes import gateway_probes_of, probes_of
from dure.export.references import Reference
from dure.export.workload import COMMAND, FLOW_FILE, GRACE_S, HOME, USER, Entrance, Unit
from dure.flow.plan import bytes_of
from dure.flow.yaml_io import yaml_of
from dure.spec import FlowSpec

Values: TypeAlias = dict[str, Any]

CACHE, AUDIT = ":cache", ":audit"
"""Volumes that are not named in a Flow, by names that none could have there."""

_CAPABILITIES = "NVIDIA_DRIVER_CAPABILITIES"
_LEAVING_S = 5
"""Seconds in which Services stop sending to a pod that is about to end."""
_NUMBERS = re.compile(r"(\d+)(?::(\d+))?")
_DOCKER_SIZE = re.compile(r"(\d+)([bkmgBKMG])[bB]?")
_DOCKER = ("shm_size", "read_only", "hostname", "working_dir")


class Names(Struct, frozen=True, kw_only=True):
    """What the pods of a Flow refer to by name.

    Args:
        config: The ConfigMap that holds the Flows.
        env: The Secret that holds the variables which the Flow names.
        keys: Setting of the gateway that names a file -> the Secret that holds it, and under which key.
        gpu: The resource that is a GPU.
        host_paths: Whether folders of the nodes may be mounted.
        claims: Volume -> its PersistentVolumeClaim.
    """

    config: str
    env: str
    keys: dict[str, tuple[str, str]]
    gpu: str
    host_paths: bool
    claims: dict[str, str]


def template_of(unit: Unit, labels: Values, names: Names) -> Values:
    """Return the template of an Executor's pods.

    Raises:
        SpecError: A setting that has no counterpart.
    """
    extra = unit.docker_words(_DOCKER, "kubernetes")
    user, group = _user(unit)
    volumes, mounts = _own_volumes(unit, names)
    if "shm_size" in extra:
        size = _docker_bytes(extra["shm_size"], f"{unit.path}.docker_kwargs.shm_size")
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    container: Values = {
        "name": "executor",
        "image": unit.image,
        "command": COMMAND,
        "env": _environment(unit, names),
        "ports": [{"name": name, "containerPort": port} for name, port in _ports(unit)],
        "resources": resources_of(unit, names.gpu),
        "securityContext": _walls(user, read_only=extra.get("read_only", True)),
        **probes_of(unit),
    }
    if "working_dir" in extra:
        container["workingDir"] = extra["working_dir"]
    spec = _spec(container, f"{unit.spec.name}.yml", names, (volumes, mounts))
    spec["securityContext"] = _identity(user, group)
    if "hostname" in extra:
        spec["hostname"] = extra["hostname"]
    return _template(spec, labels, unit.flow)


def gateway_template_of(entrance: Entrance, labels: Values, names: Names) -> Values:
    """Return the template of the gateway's pods."""
    user, group = (int(number) for number in USER.split(":"))
    doors = [*entrance.doors, *filter(None, [entrance.metrics])]
    container = {
        "name": "gateway",
        "image": entrance.image,
        "command": COMMAND,
        "env": [_from_secret(name, names) for name in entrance.named],
        "ports": [{"name": name, "containerPort": port} for port, name in _numbered(doors).items()],
        "resources": {},
        "securityContext": _walls(user, read_only=True),
        **gateway_probes_of(entrance),
    }
    spec = _spec(container, "gateway.yml", names, _gateway_volumes(entrance, names))
    spec["securityContext"] = _identity(user, group)
    return _template(spec, labels, entrance.flow)


def resources_of(unit: Unit, gpu: str) -> Values:
    """Return what a container may have; what is promised is as much.

    Args:
        unit: The workload.
        gpu: The resource that is a GPU.
    """
    limits: Values = {}
    if unit.spec.max_cpus is not None:
        limits["cpu"] = f"{round(unit.spec.max_cpus * 1000)}m"
    if unit.max_memory_bytes is not None:
        limits["memory"] = str(unit.max_memory_bytes)
    requests = dict(limits)
    if unit.gpus is not None:
        limits[gpu] = str(_count(unit.gpus, unit.path))
    return {name: value for name, value in (("limits", limits), ("requests", requests)) if value}


def _ports(unit: Unit) -> list[tuple[str, int]]:
    return [("grpc", PORT), *[("metrics", METRICS_PORT)] * unit.is_watched]


def _count(gpus: Gpus, path: str) -> int:
    if gpus.ids or gpus.count == ALL:
        said = f"which ones ({','.join(gpus.ids)})" if gpus.ids else "all of a machine"
        mig = " For a MIG device say gpus: 1 and --gpu-resource nvidia.com/mig-1g.10gb, as your nodes call it."
        raise SpecError(
            f"{path}.gpus: Kubernetes gives a pod a number of GPUs, not {said}; say how many, e.g. gpus: 1."
            f"{mig if any(name.startswith('MIG') or ':' in name for name in gpus.ids) else ''}"
        )
    if gpus.driver not in ("", "nvidia"):
        raise SpecError(f"{path}.gpus: driver={gpus.driver} is not said in a pod; say a number, and --gpu-resource")
    return gpus.count


def _environment(unit: Unit, names: Names) -> list[Values]:
    # What stands within a text, or in the Flow, has to be a variable of the container by its own name.
    within = [
        part.name for parts in unit.env.values() if len(parts) > 1 for part in parts if isinstance(part, Reference)
    ]
    entries = {name: _from_secret(name, names) for name in [*unit.named, *within]}
    for name, parts in unit.env.items():
        if name in entries and parts != [Reference(name)]:
            raise SpecError(f"{unit.path}.env.{name}: is named elsewhere as ${{{{ ENV.{name} }}}}; call one otherwise")
        if len(parts) == 1 and isinstance(parts[0], Reference):
            entries[name] = {**_from_secret(parts[0].name, names), "name": name}
        else:
            entries[name] = {"name": name, "value": "".join(map(_written, parts))}
    words = [] if unit.gpus is None else [word for word in unit.gpus.capabilities if word not in ("gpu", "nvidia")]
    if words:
        entries[_CAPABILITIES] = {"name": _CAPABILITIES, "value": ",".join(words)}
    return list(entries.values())


def _written(part: str | Reference) -> str:
    return f"$({part.name})" if isinstance(part, Reference) else part.replace("$(", "$$(")


def _from_secret(name: str, names: Names) -> Values:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": names.env, "key": name}}}


def _docker_bytes(value: Any, path: str) -> int:
    """Read a size as Docker's SDK does, `1g`, or as dure does."""
    written = _DOCKER_SIZE.fullmatch(str(value))
    return int(written[1]) << 10 * "bkmg".index(written[2].lower()) if written else bytes_of(value, path)


def _user(unit: Unit) -> tuple[int, int | None]:
    found = _NUMBERS.fullmatch(unit.spec.user or USER)
    if found is None:
        raise SpecError(
            f"{unit.path}.user: {unit.spec.user!r}: Kubernetes takes numbers, uid or uid:gid, e.g. 10001:10001"
        )
    return int(found[1]), None if found[2] is None else int(found[2])


def _identity(user: int, group: int | None) -> Values:
    ids = {"runAsUser": user, "fsGroup": user if group is None else group, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"runAsNonRoot": user != 0, **ids, **({} if group is None else {"runAsGroup": group})}


def _walls(user: int, *, read_only: bool) -> Values:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only,
        "runAsNonRoot": user != 0,
        "capabilities": {"drop": ["ALL"]},
    }


def _own_volumes(unit: Unit, names: Names) -> tuple[list[Values], list[Values]]:
    volumes: list[Values] = []
    mounts: list[Values] = []
    sources: dict[str, str] = {}
    wanted = list(unit.volumes)
    if unit.spec.cache:
        wanted.append(Volume(source=CACHE, target=f"{HOME}/.cache", named=True))
    for i, volume in enumerate(wanted):
        if volume.source not in sources:
            sources[volume.source] = f"volume-{len(sources)}"
            volumes.append({"name": sources[volume.source], **_source(volume, f"{unit.path}.volumes[{i}]", names)})
        mount: Values = {"name": sources[volume.source], "mountPath": volume.target}
        mounts.append({**mount, "readOnly": True} if volume.read_only else mount)
    return volumes, mounts


def _gateway_volumes(entrance: Entrance, names: Names) -> tuple[list[Values], list[Values]]:
    volumes: list[Values] = []
    mounts: list[Values] = []
    folders = {names.keys[setting][0]: _folder(entrance, setting) for setting in entrance.files}
    for i, (secret, folder) in enumerate(folders.items()):
        volumes.append({"name": f"secret-{i}", "secret": {"secretName": secret, "defaultMode": 0o440}})
        mounts.append({"name": f"secret-{i}", "mountPath": folder, "readOnly": True})
    if entrance.spec.audit_file is not None:
        volumes.append({"name": "audit", "persistentVolumeClaim": {"claimName": names.claims[AUDIT]}})
        mounts.append({"name": "audit", "mountPath": _folder(entrance, "audit_file")})
    return volumes, mounts


def _source(volume: Volume, path: str, names: Names) -> Values:
    if volume.named:
        return {"persistentVolumeClaim": {"claimName": names.claims[volume.source]}}
    if not names.host_paths:
        raise SpecError(
            f"{path}: {volume.source}: a pod runs on any node, and each has folders of its own. Name a volume"
            f" (data:{volume.target}), or, where all nodes have that folder, say --host-paths"
        )
    if not volume.source.startswith("/"):
        raise SpecError(f"{path}: {volume.source}: a folder of the nodes is written from /, e.g. /srv/models")
    kind = {"type": "DirectoryOrCreate"} if volume.create else {}
    return {"hostPath": {"path": volume.source, **kind}}


def _spec(container: Values, key: str, names: Names, own: tuple[list[Values], list[Values]]) -> Values:
    volumes, mounts = own
    file = {
        "name": "flow",
        "configMap": {"name": names.config, "items": [{"key": key, "path": FLOW_FILE.rpartition("/")[2]}]},
    }
    container["volumeMounts"] = [
        {"name": "flow", "mountPath": FLOW_FILE.rpartition("/")[0], "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
        *mounts,
    ]
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_LEAVING_S)]}}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S + _LEAVING_S,
        "containers": [container],
        "volumes": [file, {"name": "tmp", "emptyDir": {}}, *volumes],
    }


def _template(spec: Values, labels: Values, flow: FlowSpec) -> Values:
    # A pod reads its Flow when it starts: where that differs, the template has to differ.
    digest = hashlib.sha256(yaml_of(flow).encode()).hexdigest()
    return {"metadata": {"labels": labels, "annotations": {"dure.dev/flow-sha256": digest}}, "spec": spec}


def _folder(entrance: Entrance, setting: str) -> str:
    return str(getattr(entrance.flow.gateway, setting)).rpartition("/")[0]


def _numbered(doors: list[Door]) -> dict[int, str]:
    """Return container port -> its name; what both protocols share is called http."""
    return {door.inside: door.name for door in sorted(doors, key=lambda door: door.name)}
