"""A Flow taken apart for engines that start containers: a workload for each Executor, and one for the gateway.

Each workload runs a Flow of its own, as YAML: an Executor's has that Executor alone, the gateway's asks them all
by `dure://`. Knows no engine's words.
"""

import re
from pathlib import Path

from msgspec.structs import replace

from dure.backends.gpus import parse_gpus
from dure.backends.image import PORT, check_docker_kwargs, image_name
from dure.backends.volumes import parse_volumes
from dure.errors import SpecError
from dure.export.decisions import refuse
from dure.export.ports import METRICS_PORT, doors_of, metrics_door
from dure.export.references import names_in, parts_of, refuse_references
from dure.export.workload import HOME, Engine, Entrance, Stack, Unit, Wishes
from dure.flow.container import container_of
from dure.flow.graph import order
from dure.flow.plan import bytes_of
from dure.flow.remote import SCHEME, check_remote, is_remote
from dure.flow.yaml_io import flow_of
from dure.spec import GATEWAY, MAX_REQUEST_BYTES, ExecutorSpec, FlowSpec, GatewaySpec, is_loopback, suggest

_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_MAX_LABEL = 52  # 63, less what Kubernetes puts after the name of a Deployment
_BUNDLE = "config.yml"
_LOOK_UP_S = 30.0  # gRPC looks a name up again when it connects again: so replicas are found that came later


def read_stack(file: Path, wishes: Wishes, engine: Engine) -> Stack:
    """Read a Flow and take it apart.

    Raises:
        SpecError: A setting that is wrong, or has no counterpart in that engine.
    """
    flow = _completed(flow_of(file, fill=False), wishes)
    refuse(flow, "with", engine.name)
    refuse_references(flow, "with", but=("gateway", "executors", "env"))
    name = label_of(flow.name, "with.name")
    units = [
        _unit(flow, i, name if engine.is_shared else "", engine)
        for i, spec in enumerate(flow.executors)
        if not is_remote(spec.uses)
    ]
    for i, unit in enumerate(units):
        if unit.label in [other.label for other in units[:i]]:
            raise SpecError(f"{unit.path}.name: {unit.spec.name!r} is {unit.label!r} there, as another Executor is")
    entrance = _entrance(flow, units, wishes, engine)
    return Stack(name=name, source=file.read_text(encoding="utf-8"), units=units, entrance=entrance)


def label_of(name: str, path: str, prefix: str = "") -> str:
    """Return a name as it may stand in DNS.

    Args:
        name: As it was written.
        path: Where, for messages.
        prefix: A label that comes before it.

    Raises:
        SpecError: It holds what cannot stand there, or is too long.
    """
    label = name.lower().replace("_", "-")
    if not _LABEL.fullmatch(label):
        raise SpecError(f"{path}: {name!r} cannot be a name in DNS: it has letters of ASCII, digits, and _ inside")
    label = f"{prefix}-{label}" if prefix else label
    if len(label) > _MAX_LABEL:
        raise SpecError(f"{path}: {label!r} is {len(label)} characters; names in DNS have room for {_MAX_LABEL}")
    return label


def _completed(flow: FlowSpec, wishes: Wishes) -> FlowSpec:
    """Say what was left unsaid: names, needs, and the images that stand for Executors."""
    executors: list[ExecutorSpec] = []
    for i, spec in enumerate(flow.executors):
        needs = spec.needs or ([executors[-1].name] if executors else [GATEWAY])
        named = replace(spec, name=spec.name or f"executor{i}", needs=needs)
        image = wishes.images.get(named.name)
        executors.append(named if image is None else replace(named, uses=f"docker://{image}"))
    if not executors:
        raise SpecError("executors: there are none; a Flow that is exported has one at least")
    order(executors)
    names = [spec.name for spec in executors]
    for name in wishes.images:
        if name not in names:
            raise SpecError(
                f"--image: there is no Executor {name!r}.{suggest(name, names)} There are: {', '.join(names)}"
            )
    return replace(flow, executors=executors)


def _unit(flow: FlowSpec, i: int, prefix: str, engine: Engine) -> Unit:
    spec, path = flow.executors[i], f"executors[{i}]"
    refuse(spec, path, engine.name)
    refuse_references(spec, path, but=("env", "uses_with"))
    if isinstance(spec.device, list) and len(spec.device) > 1:
        raise SpecError(f"{path}.device: {spec.device} are taken in turn by replicas of one machine; name one")
    if "gpu" in str(spec.device) and spec.gpus is None:
        raise SpecError(f"{path}.device: {spec.device} needs a GPU in its container; say gpus: 1 as well")
    check_docker_kwargs(spec.docker_kwargs, path)
    label = label_of(spec.name, f"{path}.name", prefix)
    return Unit(
        spec=spec,
        path=path,
        label=label,
        image=_image(spec, path),
        flow=_own_flow(spec, is_watched=flow.gateway.metrics_port is not None or spec.max_replicas is not None),
        env={name: parts_of(text) for name, text in {**flow.env, **spec.env}.items()},
        named=names_in(spec.uses_with),
        gpus=None if spec.gpus is None else parse_gpus(spec.gpus, f"{path}.gpus"),
        volumes=tuple(volume.below(HOME) for volume in parse_volumes(spec.volumes, f"{path}.volumes")),
        max_memory_bytes=None if spec.max_memory is None else bytes_of(spec.max_memory, f"{path}.max_memory"),
    )


def _image(spec: ExecutorSpec, path: str) -> str:
    image = image_name(spec.uses)
    if image is None:
        raise SpecError(
            f"{path}.uses: {spec.uses!r:.80} is no image, and containers are started from images. Build one (dure hub"
            f" build FOLDER --tag REGISTRY/{spec.name}:1), push it, and say uses: docker://REGISTRY/{spec.name}:1; or"
            f" keep the file as it is and say --image {spec.name}=REGISTRY/{spec.name}:1"
        )
    if not image or re.search(r"\s", image):
        raise SpecError(f"{path}.uses: {spec.uses!r} names no image, e.g. docker://registry.example/encoder:1")
    return image


def _own_flow(spec: ExecutorSpec, *, is_watched: bool) -> FlowSpec:
    """Return the Flow of an Executor's own container, which the gateway asks and nobody else."""
    gateway = GatewaySpec(
        protocol=["http", "grpc"],
        host="0.0.0.0",
        port=[PORT, PORT],
        insecure=True,
        max_request_bytes=MAX_REQUEST_BYTES,  # the gateway has let in what comes
        max_queued_bytes=MAX_REQUEST_BYTES,
        max_queued=MAX_REQUEST_BYTES,
        max_connection_age_s=_LOOK_UP_S,
        metrics_port=METRICS_PORT if is_watched else None,
    )
    own = ExecutorSpec(
        uses=_BUNDLE,
        name=spec.name,
        uses_with=spec.uses_with,
        uses_requests=spec.uses_requests,
        concurrency=spec.concurrency,
        cpu_threads=spec.cpu_threads,
        device=spec.device,
        device_memory=spec.device_memory,
        batching=spec.batching,
        cache_size=spec.cache_size,
        max_queue_size=spec.max_queue_size,
        max_call_s=spec.max_call_s,
        timeout_ready_s=spec.timeout_ready_s,
    )
    return FlowSpec(name=spec.name, gateway=gateway, executors=[own])


def _entrance(flow: FlowSpec, units: list[Unit], wishes: Wishes, engine: Engine) -> Entrance:
    spec = flow.gateway
    refuse(spec, "with", engine.name)
    files = {name: value for name in engine.places if (value := getattr(spec, name)) is not None}
    refuse_references(spec, "with", but=("traces_address", "public_address", "allowed_hosts", "cors_origins"))
    _check_entrance(flow, wishes, engine)
    if not units and wishes.gateway_image is None:
        raise SpecError("executors: none of them is an image here; say which is the gateway's: --gateway-image")
    doors = doors_of(spec, apart=engine.apart)
    is_watched = spec.metrics_port is not None or any(unit.spec.max_replicas is not None for unit in units)
    metrics = metrics_door(spec.metrics_port or 0, doors) if is_watched else None
    label = label_of(GATEWAY, "with.name", label_of(flow.name, "with.name") if engine.is_shared else "")
    inside = {door.name: door.inside for door in doors}
    gateway = replace(
        spec,
        host="0.0.0.0",
        port=[inside["grpc" if name == "grpc" else "http"] for name in spec.protocol],
        metrics_port=None if metrics is None else metrics.inside,
        insecure=spec.keys_file is None,
        allowed_hosts=[*spec.allowed_hosts, *_inside_names(spec, label, engine)],
        trusted_proxies=[*spec.trusted_proxies, *engine.proxies],
        **{name: engine.places[name] for name in files},
    )
    labels = {unit.spec.name: unit.label for unit in units}
    asks = [spec if is_remote(spec.uses) else _asks(spec, labels[spec.name]) for spec in flow.executors]
    return Entrance(
        spec=spec,
        label=label,
        image=wishes.gateway_image or units[0].image,
        gateways=wishes.gateways,
        flow=FlowSpec(name=flow.name, gateway=gateway, executors=asks),
        doors=doors,
        metrics=metrics,
        files={name: value for name, value in files.items() if name != "audit_file"},
        named=names_in([gateway, *asks]),
    )


def _asks(spec: ExecutorSpec, label: str) -> ExecutorSpec:
    """Return an Executor as the gateway's Flow has it."""
    return ExecutorSpec(
        uses=f"{SCHEME}{label}:{PORT}",
        name=spec.name,
        needs=spec.needs,
        max_queue_size=spec.max_queue_size,
        timeout_ready_s=spec.timeout_ready_s,
    )


def _inside_names(spec: GatewaySpec, label: str, engine: Engine) -> list[str]:
    """Return under which names others in the engine's network call the gateway over HTTP."""
    if spec.protocol == ["grpc"]:
        return []
    return [label, "*.svc", "*.svc.cluster.local"] if engine.is_shared else [label]


def _check_entrance(flow: FlowSpec, wishes: Wishes, engine: Engine) -> None:
    spec = flow.gateway
    if engine.is_exposed and spec.keys_file is None and not spec.insecure:
        raise SpecError(
            f"with: in {engine.name} whoever reaches the gateway's Service is served, wherever host={spec.host} is."
            " Make keys (dure keys add --file keys.json) and give keys_file: keys.json; or, where something else stands"
            " before it, say insecure: true"
        )
    spec.check_exposure()
    _check_code(flow, wishes)
    for executor in flow.executors:
        if is_remote(executor.uses):
            check_remote(executor)
            container_of(executor)  # refuses settings of containers
    address = (spec.traces_address or "").partition("://")[2] or spec.traces_address or ""
    host = address.partition("/")[0].rpartition(":")[0] or address
    if spec.traces_address is not None and is_loopback(host):
        raise SpecError(f"with.traces_address: {spec.traces_address} would be the container itself; name the collector")
    if wishes.gateways > 1 and spec.audit_file is not None:
        raise SpecError(f"with.audit_file: {wishes.gateways} gateways would write one file; have one, or leave it out")


def _check_code(flow: FlowSpec, wishes: Wishes) -> None:
    """Refuse what the gateway would have to find in its image, unless that was said."""
    if wishes.gateway_image is not None:
        return
    files = [
        spec.name for spec in flow.executors if is_remote(spec.uses) and any("tls_" in key for key in spec.uses_with)
    ]
    for what, given in (("with.apps", flow.gateway.apps), ("executors: tls files in uses_with", files)):
        if given:
            raise SpecError(f"{what}: {given} has to be in the gateway's image; say which that is: --gateway-image")
