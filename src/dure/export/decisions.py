"""What becomes of each setting of a Flow, in Kubernetes and in compose: how it is written there, or why it is refused.

Every field of the records in `dure.spec` stands in these tables; a test fails for one that does not.
"""

from typing import NamedTuple, TypeAlias

import msgspec

from dure.errors import SpecError
from dure.spec import ExecutorSpec, FlowSpec, GatewaySpec


class Written(NamedTuple):
    """A setting that has a counterpart."""

    where: str


class Refused(NamedTuple):
    """A setting that has none: an error where it is given."""

    because: str


Verdict: TypeAlias = Written | Refused


class Decision(NamedTuple):
    """What becomes of a setting in each engine."""

    kubernetes: Verdict
    compose: Verdict


def _both(where: str) -> Decision:
    return Decision(Written(where), Written(where))


def _neither(because: str) -> Decision:
    return Decision(Refused(because), Refused(because))


_GATEWAY_FLOW = "the Flow of the gateway"
_OWN_FLOW = "the Flow of its workload"
_FILE_OF_SECRET = Decision(Written("a Secret, which you make, mounted into the gateway"), Written("secrets: the file"))
_LIMIT = _both(f"{_GATEWAY_FLOW}; each gateway counts for itself")

FLOW: dict[str, Decision] = {
    "name": Decision(Written("the beginning of every name, and the labels"), Written(_GATEWAY_FLOW)),
    "gateway": _both("the gateway's workload: see GATEWAY"),
    "executors": _both("a workload each: see EXECUTOR"),
    "env": _both("environment variables of every Executor's workload"),
}
"""Fields of FlowSpec."""

GATEWAY: dict[str, Decision] = {
    "protocol": _both(_GATEWAY_FLOW),
    "host": Decision(
        Written("0.0.0.0 in a pod; whoever reaches the Service reaches it, so an address of one machine is refused"),
        Written("the address of the host on which its ports are published"),
    ),
    "port": Decision(
        Written("ports of the Service; 8080 where a free one is meant"),
        Written("the published ports; `docker compose port gateway 8080` tells a free one"),
    ),
    "reuse_port": _neither("each gateway has an address of its own there, so no port is shared; ask for --gateways 2"),
    "max_connection_age_s": _both(_GATEWAY_FLOW),
    "metrics_port": Decision(
        Written("a port of the Services, and ServiceMonitors; 9090 where a free one is meant, and of Executors"),
        Written("a published port; several gateways, and Executors on 9090, are read from inside the network"),
    ),
    "admin_port": Decision(
        Written(f"{_GATEWAY_FLOW}; kubectl port-forward reaches it"),
        Refused("it listens on the container's loopback, which compose cannot publish; leave it out"),
    ),
    "traces_address": _both(f"{_GATEWAY_FLOW}; an address of this machine is refused"),
    "traces_share": _both(_GATEWAY_FLOW),
    "page": _both(_GATEWAY_FLOW),
    "apps": _both(f"{_GATEWAY_FLOW}; they are code, so --gateway-image has to say which image holds it"),
    "public_address": _both(_GATEWAY_FLOW),
    "max_request_bytes": _both(_GATEWAY_FLOW),
    "max_queued_bytes": _LIMIT,
    "max_queued": _LIMIT,
    "keys_file": _FILE_OF_SECRET,
    "insecure": _both(_GATEWAY_FLOW),
    "allowed_hosts": _both(f"{_GATEWAY_FLOW}, with the names that the gateway has inside"),
    "cors_origins": _both(_GATEWAY_FLOW),
    "trusted_proxies": _both(f"{_GATEWAY_FLOW}, with the network of nginx where it stands before"),
    "max_requests_per_s_per_address": _LIMIT,
    "max_rows_per_s_per_address": _LIMIT,
    "max_bytes_per_s_per_address": _LIMIT,
    "max_tokens_per_s_per_address": _LIMIT,
    "max_concurrent_per_address": _LIMIT,
    "tls_cert": _FILE_OF_SECRET,
    "tls_key": _FILE_OF_SECRET,
    "tls_client_ca": _FILE_OF_SECRET,
    "audit_file": Decision(
        Written("a PersistentVolumeClaim of the gateway; one gateway only"), Written("a volume; one gateway only")
    ),
}
"""Fields of GatewaySpec."""

EXECUTOR: dict[str, Decision] = {
    "uses": _both("the image of its workload; dure://… stays in the Flow of the gateway"),
    "name": _both("the name of its workload, and of the Executor in the Flow of the gateway"),
    "needs": _both(_GATEWAY_FLOW),
    "replicas": Decision(
        Written("replicas of its Deployment, the least of a HorizontalPodAutoscaler"), Written("deploy.replicas")
    ),
    "max_replicas": Decision(
        Written("a HorizontalPodAutoscaler that goes by the queues in the gateway and in its pods"),
        Refused("compose starts as many containers as it is told, and no more under load; say replicas"),
    ),
    "group": _neither("Executors of a group share a process, and an image hosts one Executor; leave it out"),
    "concurrency": _both(_OWN_FLOW),
    "cpu_threads": _both(_OWN_FLOW),
    "uses_with": _both(_OWN_FLOW),
    "uses_requests": _both(_OWN_FLOW),
    "py_modules": _neither("an image holds its own files; name them in its config.yml"),
    "device": _both(f"{_OWN_FLOW}; a list, which replicas take in turn, is refused"),
    "device_memory": Decision(
        Refused("Kubernetes gives whole GPUs, or MIG devices by --gpu-resource, to one pod each; leave it out"),
        Written(_OWN_FLOW),
    ),
    "env": _both("environment variables of its workload"),
    "batching": _both(f"{_OWN_FLOW}: requests are merged where the work is done"),
    "cache_size": _both(_OWN_FLOW),
    "max_queue_size": _both(f"{_GATEWAY_FLOW} and of its workload; each counts for itself"),
    "max_call_s": _both(_OWN_FLOW),
    "timeout_ready_s": Decision(
        Written(f"{_OWN_FLOW}, its startupProbe, and {_GATEWAY_FLOW}"),
        Written(f"{_OWN_FLOW}, its start_period, and {_GATEWAY_FLOW}"),
    ),
    "gpus": Decision(
        Written("limits of nvidia.com/gpu, or --gpu-resource: how many; which ones, and all, are refused"),
        Written("deploy.resources.reservations.devices"),
    ),
    "volumes": Decision(
        Written("names are PersistentVolumeClaims; folders of the host are refused but for --host-paths"),
        Written("volumes"),
    ),
    "cache": Decision(Written("a PersistentVolumeClaim at ~/.cache"), Written("the host's caches, mounted")),
    "user": Decision(Written("runAsUser and runAsGroup: numbers"), Written("user")),
    "max_memory": Decision(Written("limits.memory"), Written("mem_limit")),
    "max_cpus": Decision(Written("limits.cpu"), Written("cpus")),
    "max_processes": Decision(
        Refused("a pod has no such limit of its own; podPidsLimit of the kubelet is for all pods of a node"),
        Written("pids_limit"),
    ),
    "network": Decision(
        Refused("all pods are in one network; NetworkPolicies say who reaches whom"),
        Written("networks: an external one, beside the project's own"),
    ),
    "docker_kwargs": Decision(
        Written("shm_size, read_only, hostname, working_dir; others are refused by name"),
        Written("what has the same name there; others are refused by name"),
    ),
    "ray_options": _neither("it is for a Ray cluster, whose actors are no containers; leave it out"),
}
"""Fields of ExecutorSpec."""

_TABLES = ((FlowSpec, FLOW), (GatewaySpec, GATEWAY), (ExecutorSpec, EXECUTOR))


def verdict_of(spec: msgspec.Struct, field: str, engine: str) -> Verdict:
    """Return what becomes of a setting.

    Args:
        spec: The record that it is of.
        field: Its name.
        engine: `kubernetes` or `compose`.
    """
    table = next(table for kind, table in _TABLES if isinstance(spec, kind))
    verdict: Verdict = getattr(table[field], engine)
    return verdict


def refuse(spec: msgspec.Struct, path: str, engine: str) -> None:
    """Refuse a record in which a setting is given that has no counterpart.

    Raises:
        SpecError: The setting, its value, and why.
    """
    for field in msgspec.structs.fields(type(spec)):
        value = getattr(spec, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        verdict = verdict_of(spec, field.name, engine)
        if isinstance(verdict, Refused) and value != default:
            raise SpecError(f"{path}.{field.name}: {value!r:.60} has no counterpart in {engine}: {verdict.because}")
