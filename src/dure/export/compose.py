"""A Flow as a compose file: a service for each Executor, one for the gateway, and nginx before several gateways.

Values only; who writes them to files is `files.py`. Values of variables are named and never written.
"""

from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from msgspec import Struct

from dure.backends.gpus import ALL, Gpus
from dure.backends.image import PORT
from dure.backends.volumes import Volume, model_caches
from dure.errors import SpecError
from dure.export import nginx
from dure.export.ports import Door
from dure.export.references import Reference
from dure.export.stack import read_stack
from dure.export.workload import COMMAND, FLOW_FILE, GRACE_S, HOME, SOURCE, USER, Engine, Entrance, Stack, Unit, Wishes
from dure.flow.yaml_io import yaml_of

Values: TypeAlias = dict[str, Any]

NGINX_IMAGE = "nginx:1.27"
"""What stands before several gateways, if nobody said; not older than 1.19.5."""

FRONT = "nginx-front"
"""The service of nginx; no Executor can be called so."""

_SECRETS = ("keys_file", "tls_cert", "tls_key", "tls_client_ca")
_AUDIT = "dure-gateway-audit"
_SAME = (
    "cap_add cap_drop cgroup_parent cpu_period cpu_quota cpu_shares device_cgroup_rules devices dns dns_opt dns_search"
    " domainname extra_hosts group_add hostname init isolation mac_address mem_reservation mem_swappiness memswap_limit"
    " oom_kill_disable oom_score_adj platform privileged read_only runtime security_opt shm_size stop_signal"
    " storage_opt sysctls tmpfs ulimits userns_mode working_dir"
)
_DOCKER = {**{word: word for word in _SAME.split()}, "cpuset_cpus": "cpuset", "ipc_mode": "ipc", "pid_mode": "pid"}
"""Word of Docker's SDK -> compose's."""

_HEALTH = (
    "import socket, sys; s = socket.create_connection(('127.0.0.1', {port}), 2);"
    " s.sendall(b'GET /health/ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n'); sys.exit(b' 503 ' in s.recv(32))"
)


class Composition(Struct, frozen=True, kw_only=True):
    """A compose file, and what lies beside it.

    Args:
        stack: What it was made of.
        document: The file.
        beside: Name -> text of the files in the folder that it mounts from.
        notes: What has to be known.
    """

    stack: Stack
    document: Values
    beside: dict[str, str]
    notes: list[str]


def composition_of(file: Path, wishes: Wishes, nginx_image: str, out: Path) -> Composition:
    """Read a Flow and write it for compose.

    Args:
        file: The Flow.
        wishes: What is said besides.
        nginx_image: What stands before several gateways.
        out: The compose file; its folder is where relative paths begin.

    Raises:
        SpecError: A setting that is wrong, or has no counterpart there.
    """
    several = wishes.gateways > 1
    engine = Engine(
        name="compose",
        is_shared=False,
        is_exposed=False,
        places={**{name: f"/run/secrets/{name}" for name in _SECRETS}, "audit_file": "/var/lib/dure/audit.jsonl"},
        apart=several,
        proxies=nginx.NETWORKS if several else (),
    )
    stack = read_stack(file, wishes, engine)
    entrance, beside = stack.entrance, out.stem + ".d"
    files = {f"{unit.label}.yml": yaml_of(unit.flow) for unit in stack.units}
    files |= {"gateway.yml": yaml_of(entrance.flow), SOURCE: stack.source}
    services = {unit.label: _service(unit, beside, out.parent) for unit in stack.units}
    services[entrance.label] = _gateway(stack, beside)
    if several:
        _check_front(entrance)
        files["nginx.conf"] = nginx.config_of(entrance.label, entrance.doors)
        services[FRONT] = _front(entrance, nginx_image, beside)
    document: Values = {"services": services, **_tops(stack, out.parent)}
    return Composition(stack=stack, document=document, beside=files, notes=_notes(stack))


def _service(unit: Unit, beside: str, folder: Path) -> Values:
    spec = unit.spec
    service = {
        "image": _said(unit.image),
        **_container(f"./{beside}/{unit.label}.yml", spec.user or USER),
        "environment": _environment(unit),
        "healthcheck": _health(PORT, spec.timeout_ready_s),
        "deploy": {"replicas": spec.replicas, **_gpus(unit.gpus)},
    }
    volumes = [*unit.volumes, *(model_caches(HOME) if spec.cache else ())]
    service["volumes"] += [_volume(volume, folder) for volume in volumes]
    limits = {"mem_limit": unit.max_memory_bytes, "cpus": spec.max_cpus, "pids_limit": spec.max_processes}
    service |= {name: value for name, value in limits.items() if value is not None}
    if spec.network is not None:
        service["networks"] = ["default", spec.network]
    return service | _docker_words(unit)


def _container(file: str, user: str) -> Values:
    """Return what every container of dure has: its Flow, and walls."""
    return {
        "entrypoint": COMMAND,
        "command": [],
        "user": user,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": f"{GRACE_S}s",
        "volumes": [{"type": "bind", "source": file, "target": FLOW_FILE, "read_only": True}],
    }


def _gateway(stack: Stack, beside: str) -> Values:
    entrance = stack.entrance
    spec = entrance.spec
    door = next((door for door in entrance.doors if door.name == "http"), entrance.doors[0])
    slowest_s = max(executor.timeout_ready_s for executor in entrance.flow.executors)
    service: Values = {
        "image": _said(entrance.image),
        **_container(f"./{beside}/gateway.yml", USER),
        "environment": {name: _asked(name) for name in entrance.named},
        "healthcheck": _health(door.inside, slowest_s),
        "deploy": {"replicas": entrance.gateways},
        "depends_on": {unit.label: {"condition": "service_healthy"} for unit in stack.units},
    }
    if spec.audit_file is not None:
        folder = str(PurePosixPath(str(entrance.flow.gateway.audit_file)).parent)
        service["volumes"].append({"type": "volume", "source": _AUDIT, "target": folder})
    if entrance.files:
        service["secrets"] = list(entrance.files)
    doors = [*entrance.doors, *filter(None, [entrance.metrics])]
    if entrance.gateways == 1:
        service["ports"] = _published(spec.host, doors)
    else:
        service["expose"] = [str(door.inside) for door in doors]
    return service


def _front(entrance: Entrance, image: str, beside: str) -> Values:
    return {
        "image": _said(image),
        "entrypoint": nginx.COMMAND,
        "command": [],
        "user": USER,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "volumes": [
            {"type": "bind", "source": f"./{beside}/nginx.conf", "target": nginx.CONFIG_FILE, "read_only": True}
        ],
        "depends_on": {entrance.label: {"condition": "service_healthy"}},
        "ports": _published(entrance.spec.host, entrance.doors),
    }


def _check_front(entrance: Entrance) -> None:
    spec = entrance.spec
    if spec.tls_cert is not None:
        raise SpecError(
            "with.tls_cert: nginx before several gateways reads requests and would need the key as well; have one"
            " gateway, or a balancer of your own that passes TLS on (docs/nginx/nginx-l4.conf)"
        )
    limits = [name for name in type(spec).__struct_fields__ if name.endswith("_per_address") and getattr(spec, name)]
    if limits and "grpc" in spec.protocol:
        raise SpecError(
            f"with.{limits[0]}: over gRPC, nginx's address is all that the gateways see; limit keys instead"
        )


def _published(host: str, doors: list[Door]) -> list[str]:
    address = {"localhost": "127.0.0.1"}.get(host, host)
    address = f"[{address.strip('[]')}]" if ":" in address else address
    return list(dict.fromkeys(f"{address}:{door.outside or ''}:{door.inside}" for door in doors))


def _environment(unit: Unit) -> Values:
    said = {name: _asked(name) for name in unit.named}
    for name, parts in unit.env.items():
        if name in said and parts != [Reference(name)]:
            raise SpecError(f"{unit.path}.env.{name}: is also named in uses_with; give one of them another name")
        said[name] = "".join(_asked(part.name) if isinstance(part, Reference) else _said(part) for part in parts)
    return said


def _asked(name: str) -> str:
    return f"${{{name}:?has no value}}"


def _said(text: str) -> str:
    return text.replace("$", "$$")


def _health(port: int, start_s: float) -> Values:
    test = ["CMD", "python", "-I", "-S", "-c", _HEALTH.format(port=port)]
    return {"test": test, "interval": "5s", "timeout": "3s", "retries": 3, "start_period": f"{round(start_s)}s"}


def _gpus(gpus: Gpus | None) -> Values:
    if gpus is None:
        return {}
    rest = [name for name in gpus.capabilities if name != "gpu"]
    which: Values = (
        {"device_ids": list(gpus.ids)} if gpus.ids else {"count": "all" if gpus.count == ALL else gpus.count}
    )
    device = {**({"driver": gpus.driver} if gpus.driver else {}), **which, "capabilities": ["gpu", *rest]}
    return {"resources": {"reservations": {"devices": [device]}}}


def _volume(volume: Volume, folder: Path) -> Values | str:
    mode = {"read_only": True} if volume.read_only else {}
    if volume.named:
        return {"type": "volume", "source": volume.source, "target": volume.target, **mode}
    source = _said(_from(volume.source, folder))
    if volume.create:  # the short form makes what is not there
        return f"{source}:{_said(volume.target)}{':ro' if volume.read_only else ''}"
    return {"type": "bind", "source": source, "target": _said(volume.target), **mode}


def _from(source: str, folder: Path) -> str:
    """Return a path of the host as it is found from the compose file's folder."""
    path = Path(source)
    if path.is_absolute() or source.startswith("~"):
        return source
    try:
        return f"./{path.absolute().relative_to(folder.absolute()).as_posix()}"
    except ValueError:
        return str(path.absolute())


def _docker_words(unit: Unit) -> Values:
    said = {_DOCKER[word]: value for word, value in unit.docker_words(_DOCKER, "compose").items()}
    if isinstance(said.get("tmpfs"), dict):
        said["tmpfs"] = [f"{place}:{options}".rstrip(":") for place, options in said["tmpfs"].items()]
    if isinstance(said.get("ulimits"), list):
        said["ulimits"] = {one["name"]: {"soft": one["soft"], "hard": one["hard"]} for one in said["ulimits"]}
    return said


def _tops(stack: Stack, folder: Path) -> Values:
    """Return what is declared beside the services: volumes, networks, secrets."""
    volumes = [volume.source for unit in stack.units for volume in unit.volumes if volume.named]
    volumes += [_AUDIT] if stack.entrance.spec.audit_file is not None else []
    networks = [unit.spec.network for unit in stack.units if unit.spec.network is not None]
    tops = {
        "volumes": {name: {} for name in volumes},
        "networks": {name: {"external": True} for name in networks},
        "secrets": {name: {"file": _said(_from(path, folder))} for name, path in stack.entrance.files.items()},
    }
    return {name: values for name, values in tops.items() if values}


def _notes(stack: Stack) -> list[str]:
    entrance, notes = stack.entrance, []
    if entrance.files:
        user, files = USER.partition(":")[0], ", ".join(entrance.files.values())
        notes.append(f"Secrets are mounted as they are: user {user} must be able to read {files}.")
    if entrance.gateways > 1 and entrance.metrics is not None:
        port = entrance.metrics.inside
        notes.append(f"Each gateway has a page for Prometheus on port {port} inside the network; none is published.")
    return notes
