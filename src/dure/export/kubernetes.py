"""A Flow as manifests of Kubernetes: Deployments, Services, a ConfigMap, and what keeps them running and apart.

Values only; who writes them to files is `files.py`. Secrets are named and never written.
"""

import re
from pathlib import Path

from msgspec import Struct

from dure.backends.image import PORT
from dure.errors import SpecError
from dure.export.pods import AUDIT, CACHE, Names, Values, gateway_template_of, template_of
from dure.export.ports import METRICS_PORT, Door
from dure.export.stack import read_stack
from dure.export.workload import SOURCE, Engine, Stack, Unit, Wishes
from dure.flow.plan import most_replicas
from dure.flow.yaml_io import yaml_of
from dure.spec import BatchSpec, GatewaySpec

GPU = "nvidia.com/gpu"
"""What NVIDIA's device plugin calls a whole GPU."""

_SECRETS = "/run/secrets/dure"
_KEYS = {
    "keys_file": ("keys", "keys.json"),
    "tls_cert": ("tls", "tls.crt"),
    "tls_key": ("tls", "tls.key"),
    "tls_client_ca": ("client-ca", "ca.crt"),
}
_ENGINE = Engine(
    name="kubernetes",
    is_shared=True,
    is_exposed=True,
    places={
        **{setting: f"{_SECRETS}/{secret}/{key}" for setting, (secret, key) in _KEYS.items()},
        "audit_file": "/var/lib/dure/audit.jsonl",
    },
)
QUEUE = "dure_queue_requests"
"""The metric that says how many requests wait."""

_RESOURCE = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+")


class Manifests(Struct, frozen=True, kw_only=True):
    """What `kubectl apply` takes, and what has to be known.

    Args:
        stack: What they were made of.
        documents: The manifests, in the order in which they are applied.
        commands: What has to be made before, by hand, since it is secret.
        notes: What has to be known.
    """

    stack: Stack
    documents: list[Values]
    commands: list[str]
    notes: list[str]


class Cluster(Struct, frozen=True, kw_only=True):
    """What is said of the cluster.

    Args:
        gpu: The resource that is a GPU.
        volume_size: Of each PersistentVolumeClaim, e.g. `10Gi`.
        host_paths: Whether folders of the nodes may be mounted.
    """

    gpu: str = GPU
    volume_size: str = "10Gi"
    host_paths: bool = False

    def __post_init__(self) -> None:
        if not _RESOURCE.fullmatch(self.gpu):
            raise SpecError(f"--gpu-resource: {self.gpu!r} is no resource of Kubernetes, e.g. {GPU}")
        if not re.fullmatch(r"[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi)?", self.volume_size):
            raise SpecError(f"--volume-size: {self.volume_size!r} is no size of Kubernetes, e.g. 10Gi")


def manifests_of(file: Path, wishes: Wishes, cluster: Cluster) -> Manifests:
    """Read a Flow and write it for Kubernetes.

    Raises:
        SpecError: A setting that is wrong, or has no counterpart there.
    """
    stack = read_stack(file, wishes, _ENGINE)
    config = _config(stack)
    names = _names(stack, config, cluster)
    documents = [config, *_claims(stack, names, cluster)]
    for unit in stack.units:
        documents += _workload(unit, stack, names)
    documents += _gateway(stack, names)
    return Manifests(stack=stack, documents=documents, commands=_commands(stack, names), notes=_notes(stack))


def _named(kind: str, name: str, stack: Stack, component: str, api: str = "v1") -> Values:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": _labels(stack, component)}}


def _labels(stack: Stack, component: str) -> Values:
    return {
        **_selector(stack, component),
        "app.kubernetes.io/part-of": stack.name,
        "app.kubernetes.io/managed-by": "dure",
    }


def _selector(stack: Stack, component: str) -> Values:
    return {"app.kubernetes.io/name": stack.name, "app.kubernetes.io/component": component}


def _config(stack: Stack) -> Values:
    flows = {f"{unit.spec.name}.yml": yaml_of(unit.flow) for unit in stack.units}
    data = {SOURCE: stack.source, **flows, "gateway.yml": yaml_of(stack.entrance.flow)}
    return {**_named("ConfigMap", f"{stack.name}-flow", stack, "flow"), "data": data}


def _names(stack: Stack, config: Values, cluster: Cluster) -> Names:
    sources = {volume.source for unit in stack.units for volume in unit.volumes if volume.named}
    sources |= {CACHE} if any(unit.spec.cache for unit in stack.units) else set()
    sources |= {AUDIT} if stack.entrance.spec.audit_file is not None else set()
    claims = {
        source: f"{stack.name}-{re.sub('[^a-z0-9.]', '-', source.lower().lstrip(':'))}" for source in sorted(sources)
    }
    if len(set(claims.values())) < len(claims):
        raise SpecError(
            f"volumes: {', '.join(claims).replace(':', '')} are not told apart in Kubernetes; name them otherwise"
        )
    return Names(
        config=config["metadata"]["name"],
        env=f"{stack.name}-env",
        keys={setting: (f"{stack.name}-{secret}", key) for setting, (secret, key) in _KEYS.items()},
        gpu=cluster.gpu,
        host_paths=cluster.host_paths,
        claims=claims,
    )


def _claims(stack: Stack, names: Names, cluster: Cluster) -> list[Values]:
    made = []
    for source, name in names.claims.items():
        spec = {
            "accessModes": ["ReadWriteMany" if _num_pods(stack, source) > 1 else "ReadWriteOnce"],
            "resources": {"requests": {"storage": cluster.volume_size}},
        }
        made.append({**_named("PersistentVolumeClaim", name, stack, "volume"), "spec": spec})
    return made


def _num_pods(stack: Stack, source: str) -> int:
    """Return how many pods may have a volume at a time."""
    users = [unit for unit in stack.units if source in _sources(unit)]
    return sum(most_replicas(unit.spec) for unit in users)


def _sources(unit: Unit) -> set[str]:
    return {volume.source for volume in unit.volumes if volume.named} | ({CACHE} if unit.spec.cache else set())


def _workload(unit: Unit, stack: Stack, names: Names) -> list[Values]:
    labels = _selector(stack, unit.spec.name)
    pods = {"selector": {"matchLabels": labels}, "template": template_of(unit, _labels(stack, unit.spec.name), names)}
    grows = unit.spec.max_replicas is not None
    count = {} if grows else {"replicas": unit.spec.replicas}  # else every apply would undo what the autoscaler did
    holds = any(_num_pods(stack, source) == 1 for source in _sources(unit))
    strategy = {"strategy": {"type": "Recreate"}} if holds else {}  # a volume of one pod has to be let go first
    made = [
        {**_named("Deployment", unit.label, stack, unit.spec.name, "apps/v1"), "spec": {**count, **strategy, **pods}},
        _service(unit.label, stack, unit.spec.name, _doors(unit), headless=True),
        _budget(unit.label, stack, unit.spec.name),
        _wall(unit, stack),
    ]
    made += [_monitor(unit.label, stack, unit.spec.name, unit.flow.gateway)] * unit.is_watched
    return [*made, _autoscaler(unit, stack)] if grows else made


def _doors(unit: Unit) -> list[Door]:
    return [Door("grpc", PORT, PORT), *[Door("metrics", METRICS_PORT, METRICS_PORT)] * unit.is_watched]


def _gateway(stack: Stack, names: Names) -> list[Values]:
    entrance = stack.entrance
    labels = _selector(stack, "gateway")
    pods = {
        "selector": {"matchLabels": labels},
        "template": gateway_template_of(entrance, _labels(stack, "gateway"), names),
    }
    strategy = {"strategy": {"type": "Recreate"}} if entrance.spec.audit_file is not None else {}
    doors = [*entrance.doors, *filter(None, [entrance.metrics])]
    made = [
        {
            **_named("Deployment", entrance.label, stack, "gateway", "apps/v1"),
            "spec": {"replicas": entrance.gateways, **strategy, **pods},
        },
        _service(entrance.label, stack, "gateway", doors, headless=False),
        _budget(entrance.label, stack, "gateway"),
    ]
    return made if entrance.metrics is None else [*made, _monitor(entrance.label, stack, "gateway", entrance.spec)]


def _service(name: str, stack: Stack, component: str, doors: list[Door], *, headless: bool) -> Values:
    ports: dict[int, Values] = {}
    for door in sorted(doors, key=lambda door: door.name):  # what both protocols share is called http
        number = door.outside or door.inside
        ports[number] = {"name": door.name, "port": number, "targetPort": door.inside}
    spec: Values = {"selector": _selector(stack, component), "ports": list(ports.values())}
    return {
        **_named("Service", name, stack, component),
        "spec": {**({"clusterIP": "None"} if headless else {}), **spec},
    }


def _budget(name: str, stack: Stack, component: str) -> Values:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(stack, component)}}
    return {**_named("PodDisruptionBudget", name, stack, component, "policy/v1"), "spec": spec}


def _wall(unit: Unit, stack: Stack) -> Values:
    """Return who may ask an Executor: the gateway, and nobody else; whoever collects figures may read those."""
    gateway = {"podSelector": {"matchLabels": _selector(stack, "gateway")}}
    rules = [{"from": [gateway], "ports": [{"port": PORT, "protocol": "TCP"}]}]
    if unit.is_watched:
        rules.append({"from": [{"namespaceSelector": {}}], "ports": [{"port": METRICS_PORT, "protocol": "TCP"}]})
    spec = {
        "podSelector": {"matchLabels": _selector(stack, unit.spec.name)},
        "policyTypes": ["Ingress"],
        "ingress": rules,
    }
    return {**_named("NetworkPolicy", unit.label, stack, unit.spec.name, "networking.k8s.io/v1"), "spec": spec}


def _autoscaler(unit: Unit, stack: Stack) -> Values:
    """Return who grows an Executor: as many requests that wait for each replica as a batch takes is long.

    They wait in the pods, and in the gateway when the pods have their hands full.
    """
    target = {"type": "AverageValue", "averageValue": str((unit.spec.batching or BatchSpec()).max_batch_size)}
    of_executor = {"selector": {"matchLabels": {"executor": unit.spec.name}}}
    in_gateway = {
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": stack.entrance.label},
        "metric": {"name": QUEUE, **of_executor},
        "target": target,
    }
    in_pods = {"metric": {"name": QUEUE}, "target": target}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": unit.label},
        "minReplicas": unit.spec.replicas,
        "maxReplicas": most_replicas(unit.spec),
        "metrics": [{"type": "Object", "object": in_gateway}, {"type": "Pods", "pods": in_pods}],
    }
    return {**_named("HorizontalPodAutoscaler", unit.label, stack, unit.spec.name, "autoscaling/v2"), "spec": spec}


def _monitor(name: str, stack: Stack, component: str, spec: GatewaySpec) -> Values:
    """Return who tells Prometheus where the figures are, and how it is let in."""
    endpoint: Values = {"port": "metrics", "path": "/metrics", "interval": "15s"}
    if spec.tls_cert is not None:
        # The certificate is made out to the clients' name for the Flow, not to a pod's address.
        endpoint |= {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}
    if spec.keys_file is not None:
        secret = {"name": f"{stack.name}-metrics-key", "key": "key"}
        endpoint["authorization"] = {"type": "Bearer", "credentials": secret}
    rest = {"selector": {"matchLabels": _selector(stack, component)}, "endpoints": [endpoint]}
    return {**_named("ServiceMonitor", name, stack, component, "monitoring.coreos.com/v1"), "spec": rest}


def _commands(stack: Stack, names: Names) -> list[str]:
    """Return how the Secrets are made that the manifests name."""
    entrance = stack.entrance
    create = "kubectl create secret generic"
    variables = dict.fromkeys([*entrance.named, *(name for unit in stack.units for name in _variables(unit))])
    made = [f"{create} {names.env} " + " ".join(f'--from-literal={name}="${name}"' for name in variables)] * bool(
        variables
    )
    secrets: dict[str, list[str]] = {}
    for setting, path in entrance.files.items():
        secret, key = names.keys[setting]
        secrets.setdefault(secret, []).append(f"--from-file={key}={path}")
    made += [f"{create} {secret} {' '.join(words)}" for secret, words in secrets.items()]
    if entrance.metrics is not None and entrance.spec.keys_file is not None:
        made.append(f'{create} {stack.name}-metrics-key --from-literal=key="…"   # a key that may read metrics')
    return made


def _variables(unit: Unit) -> list[str]:
    return [*unit.named, *(part.name for parts in unit.env.values() for part in parts if not isinstance(part, str))]


def _notes(stack: Stack) -> list[str]:
    entrance, notes = stack.entrance, []
    if any(unit.spec.max_replicas is not None for unit in stack.units):
        notes.append(
            f"The HorizontalPodAutoscalers go by {QUEUE}: prometheus-adapter has to offer it (docs/scaling.md has"
            " the rule)."
        )
    if entrance.metrics is not None or any(unit.is_watched for unit in stack.units):
        notes.append("ServiceMonitors need the Prometheus Operator; without it, leave those manifests out.")
    if entrance.gateways > 1 and entrance.spec.max_connection_age_s is None:
        notes.append(
            "A Service spreads connections, not requests: set max_connection_age_s, so that clients spread anew."
        )
    if entrance.spec.tls_client_ca is not None:
        notes.append("Kubernetes shows no client certificate: the gateway's probes ask only whether it listens.")
    images = dict.fromkeys([*(unit.image for unit in stack.units), entrance.image])
    notes += [
        f"{image} names no registry: the nodes have it, or take whatever docker.io calls so."
        for image in images
        if not re.match(r"[^/]*[.:][^/]*/|localhost/", image)
    ]
    return [*notes, "The NetworkPolicies hold where the cluster's network plugin enforces them."]
