from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from dure.errors import SpecError
from dure.export.decisions import EXECUTOR, GATEWAY, Refused
from dure.export.kubernetes import Cluster, Manifests
from dure.export.workload import Wishes
from dure.flow.yaml_io import flow_of
from dure.spec import BatchSpec, ExecutorSpec
from tests.unit.export.exported import (
    container,
    flow_file,
    flow_in,
    kubernetes,
    manifest,
    mounted,
    pods,
    written,
)

Reading = tuple[Any, Callable[[Manifests], Any]]
"""A value of a setting, and how it is read back from the manifests."""


def own(field: str) -> Callable[[Manifests], Any]:
    """From the Flow of the Executor's workload."""
    return lambda made: getattr(flow_in(made, "encoder").executors[0], field)


def asked(field: str) -> Callable[[Manifests], Any]:
    """From the Executor as the gateway's Flow has it."""
    return lambda made: getattr(flow_in(made, "gateway").executors[0], field)


def entrance(field: str) -> Callable[[Manifests], Any]:
    return lambda made: getattr(flow_in(made, "gateway").gateway, field)


def secret(field: str) -> Callable[[Manifests], Any]:
    """The file that is to be made a Secret, which is mounted where the gateway's Flow looks for it."""

    def read(made: Manifests) -> str:
        folder, _, key = getattr(flow_in(made, "gateway").gateway, field).rpartition("/")
        name = mounted(made, "flow-gateway")[folder]["secret"]["secretName"]
        (command,) = [one for one in made.commands if f"generic {name} " in one]
        return next(word.partition(f"{key}=")[2] for word in command.split() if word.startswith(f"--from-file={key}="))

    return read


def claim(place: str) -> Callable[[Manifests], Any]:
    return lambda made: (
        mounted(made)[place]["persistentVolumeClaim"]["claimName"].removeprefix("flow-") + f":{place}"
        if place in mounted(made)
        else None
    )


def said_twice(made: Manifests) -> bool:
    return bool(own("max_queue_size")(made) == asked("max_queue_size")(made))


EXECUTOR_SETTINGS: dict[str, Reading] = {
    "uses": ("docker://other.example/encoder:2", lambda made: f"docker://{container(made)['image']}"),
    "name": ("tagger", lambda made: flow_in(made, "gateway").executors[0].name),
    "needs": (["gateway"], asked("needs")),
    "replicas": (3, lambda made: manifest(made, "Deployment", "flow-encoder")["spec"]["replicas"]),
    "max_replicas": (
        5,
        lambda made: manifest(made, "HorizontalPodAutoscaler", "flow-encoder")["spec"]["maxReplicas"],
    ),
    "concurrency": (4, own("concurrency")),
    "cpu_threads": (2, own("cpu_threads")),
    "uses_with": ({"model": "small", "deep": [1, {"x": "y$(Z)"}]}, own("uses_with")),
    "uses_requests": ({"/encode": "run"}, own("uses_requests")),
    "device": ("cpu", own("device")),
    "env": (
        {"WORDS": "one $(two) {{three}}"},
        lambda made: {one["name"]: one["value"].replace("$$(", "$(") for one in container(made)["env"]},
    ),
    "batching": (BatchSpec(max_batch_size=8, max_queue_delay_s=0.1), own("batching")),
    "cache_size": (100, own("cache_size")),
    "max_queue_size": (10, lambda made: own("max_queue_size")(made) if said_twice(made) else None),
    "max_call_s": (30.0, own("max_call_s")),
    "timeout_ready_s": (100.0, own("timeout_ready_s")),
    "gpus": (2, lambda made: int(container(made)["resources"]["limits"]["nvidia.com/gpu"])),
    "volumes": (["data:/data"], lambda made: [claim("/data")(made)]),
    "cache": (True, lambda made: claim("/home/dure/.cache")(made) == "cache:/home/dure/.cache"),
    "user": (
        "1234:5678",
        lambda made: "{runAsUser}:{runAsGroup}".format(**pods(made)["securityContext"]),
    ),
    "max_memory": (6_000_000_000, lambda made: int(container(made)["resources"]["limits"]["memory"])),
    "max_cpus": (1.5, lambda made: float(container(made)["resources"]["limits"]["cpu"].rstrip("m")) / 1000),
    "docker_kwargs": (
        {"working_dir": "/work", "hostname": "one", "read_only": False, "shm_size": 2**30},
        lambda made: {
            "working_dir": container(made)["workingDir"],
            "hostname": pods(made)["hostname"],
            "read_only": container(made)["securityContext"]["readOnlyRootFilesystem"],
            "shm_size": int(mounted(made)["/dev/shm"]["emptyDir"]["sizeLimit"]),
        },
    ),
}
"""A value of every setting of an Executor that has a counterpart."""

EXECUTOR_REFUSED: dict[str, Any] = {
    "group": "a",
    "ray_options": {"num_cpus": 2},
    "py_modules": ["words.py"],
    "device_memory": 0.5,
    "max_processes": 100,
    "network": "backend",
}

KEYS = {"keys_file": "/keys.json", "tls_cert": "/cert.pem", "tls_key": "/key.pem", "tls_client_ca": "/ca.pem"}
GATEWAY_SETTINGS: dict[str, Reading] = {
    "protocol": (["http", "grpc"], entrance("protocol")),
    "host": ("0.0.0.0", entrance("host")),
    "port": (
        [8000, 9000],
        lambda made: [port["port"] for port in manifest(made, "Service", "flow-gateway")["spec"]["ports"]],
    ),
    "max_connection_age_s": (60.0, entrance("max_connection_age_s")),
    "metrics_port": (
        9999,
        lambda made: next(
            port["port"]
            for port in manifest(made, "Service", "flow-gateway")["spec"]["ports"]
            if port["name"] == manifest(made, "ServiceMonitor", "flow-gateway")["spec"]["endpoints"][0]["port"]
        ),
    ),
    "admin_port": (8500, entrance("admin_port")),
    "traces_address": ("http://collector.example:4318", entrance("traces_address")),
    "traces_share": (0.5, entrance("traces_share")),
    "page": (False, entrance("page")),
    "apps": ({"/shop": "shop:app"}, entrance("apps")),
    "public_address": ("api.example", entrance("public_address")),
    "max_request_bytes": (1000, entrance("max_request_bytes")),
    "max_queued_bytes": (1000, entrance("max_queued_bytes")),
    "max_queued": (10, entrance("max_queued")),
    "keys_file": (KEYS["keys_file"], secret("keys_file")),
    "insecure": (True, entrance("insecure")),
    "allowed_hosts": (["api.example"], lambda made: entrance("allowed_hosts")(made)[:1]),
    "cors_origins": (["https://shop.example"], entrance("cors_origins")),
    "trusted_proxies": (["10.0.0.1"], entrance("trusted_proxies")),
    "max_requests_per_s_per_address": (1.0, entrance("max_requests_per_s_per_address")),
    "max_rows_per_s_per_address": (2.0, entrance("max_rows_per_s_per_address")),
    "max_bytes_per_s_per_address": (3.0, entrance("max_bytes_per_s_per_address")),
    "max_tokens_per_s_per_address": (4.0, entrance("max_tokens_per_s_per_address")),
    "max_concurrent_per_address": (5, entrance("max_concurrent_per_address")),
    **{name: (KEYS[name], secret(name)) for name in ("tls_cert", "tls_key", "tls_client_ca")},
    "audit_file": (
        "/audit.jsonl",
        lambda made: (
            "/audit.jsonl"
            if mounted(made, "flow-gateway")[entrance("audit_file")(made).rpartition("/")[0]]["persistentVolumeClaim"]
            == {"claimName": "flow-audit"}
            else None
        ),
    ),
}
"""A value of every setting of a gateway that has a counterpart."""


def valid(made: Manifests) -> Manifests:
    for document in made.documents:
        if document["kind"] != "ServiceMonitor":  # a kind of the Prometheus Operator
            kubernetes_validate.validate(document, "1.34", strict=True)
    return made


@pytest.mark.parametrize("field", EXECUTOR_SETTINGS)
def test_nothing_said_of_an_executor_is_lost(field: str, tmp_path: Path) -> None:
    value, read = EXECUTOR_SETTINGS[field]
    given = {field: yaml.safe_load(yaml.safe_dump(plain(value)))}
    made = valid(kubernetes(flow_file(tmp_path, **given)))
    assert read(made) == value


@pytest.mark.parametrize("field", GATEWAY_SETTINGS)
def test_nothing_said_of_a_gateway_is_lost(field: str, tmp_path: Path) -> None:
    value, read = GATEWAY_SETTINGS[field]
    beside = {name: KEYS[name] for name in ("tls_cert", "tls_key") if field.startswith("tls")}
    web = {"protocol": ["grpc", "http"], **beside, field: value}
    made = valid(kubernetes(flow_file(tmp_path, gateway=web), Wishes(gateway_image="gateway:1")))
    assert read(made) == value


def test_every_setting_is_read_back_or_refused() -> None:
    refused = {name for name, decision in EXECUTOR.items() if isinstance(decision.kubernetes, Refused)}
    assert refused == set(EXECUTOR_REFUSED)
    assert set(EXECUTOR) - refused == set(EXECUTOR_SETTINGS)
    assert set(GATEWAY) - {"reuse_port"} == set(GATEWAY_SETTINGS)


@pytest.mark.parametrize("field", EXECUTOR_REFUSED)
def test_a_setting_without_a_counterpart_is_an_error(field: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"executors\[0\]\.{field}: .* has no counterpart in kubernetes: "):
        kubernetes(flow_file(tmp_path, **{field: EXECUTOR_REFUSED[field]}))


def plain(value: Any) -> Any:
    return {"max_batch_size": 8, "max_queue_delay_s": 0.1} if isinstance(value, BatchSpec) else value


def test_the_flow_as_it_was_is_in_the_config_map(tmp_path: Path) -> None:
    path = flow_file(tmp_path, env={"A": "1"})
    data = manifest(kubernetes(path), "ConfigMap", "flow-flow")["data"]
    assert data["dure.flow.yml"] == path.read_text(encoding="utf-8")
    assert flow_of(data["dure.flow.yml"]) == flow_of(path)


def test_values_of_variables_are_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    said = {"HUB": "${{ ENV.TOKEN }}", "URL": "https://x:${{ ENV.WORD }}@y"}
    made = valid(kubernetes(flow_file(tmp_path, env=said, uses_with={"key": "${{ ENV.KEY }}"})))
    assert "s3cret" not in str(made.documents)
    env = {one.pop("name"): one for one in container(made)["env"]}
    assert env["HUB"] == {"valueFrom": {"secretKeyRef": {"name": "flow-env", "key": "TOKEN"}}}
    assert env["URL"] == {"value": "https://x:$(WORD)@y"}
    assert env["WORD"] == {"valueFrom": {"secretKeyRef": {"name": "flow-env", "key": "WORD"}}}
    assert env["KEY"] == {"valueFrom": {"secretKeyRef": {"name": "flow-env", "key": "KEY"}}}
    assert flow_in(made, "encoder").executors[0].uses_with == {"key": "${{ ENV.KEY }}"}
    words = "".join(f' --from-literal={name}="${name}"' for name in ("KEY", "TOKEN", "WORD"))
    assert made.commands == [f"kubectl create secret generic flow-env{words}"]


def test_only_the_gateway_reaches_an_executor(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path))
    policy = manifest(made, "NetworkPolicy", "flow-encoder")["spec"]
    pods = manifest(made, "Deployment", "flow-encoder")["spec"]["template"]["metadata"]["labels"]
    gateways = manifest(made, "Deployment", "flow-gateway")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= pods.items()
    (rule,) = policy["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= gateways.items()
    assert not rule["from"][0]["podSelector"]["matchLabels"].items() <= pods.items()
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_an_executor_is_asked_at_all_its_addresses(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path, replicas=2, concurrency=3))
    assert manifest(made, "Service", "flow-encoder")["spec"]["clusterIP"] == "None"
    (asks,) = flow_in(made, "gateway").executors
    assert asks == ExecutorSpec(uses="dure://flow-encoder:8080", name="encoder", needs=["gateway"])
    assert flow_in(made, "encoder").gateway.max_connection_age_s == 30  # so that names are looked up again


def test_an_autoscaler_goes_by_the_queues(tmp_path: Path) -> None:
    made = valid(kubernetes(flow_file(tmp_path, replicas=2, max_replicas=6, batching={"max_batch_size": 16})))
    assert "replicas" not in manifest(made, "Deployment", "flow-encoder")["spec"]
    scaler = manifest(made, "HorizontalPodAutoscaler", "flow-encoder")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    in_gateway, in_pods = scaler["metrics"]
    assert in_gateway["object"]["describedObject"]["name"] == "flow-gateway"
    selector = {"matchLabels": {"executor": "encoder"}}
    assert in_gateway["object"]["metric"] == {"name": "dure_queue_requests", "selector": selector}
    assert in_pods["pods"]["metric"] == {"name": "dure_queue_requests"}
    assert in_pods["pods"]["target"] == {"type": "AverageValue", "averageValue": "16"}
    assert [flow_in(made, name).gateway.metrics_port for name in ("encoder", "gateway")] == [9090, 9090]
    monitor = manifest(made, "ServiceMonitor", "flow-encoder")["spec"]
    service = manifest(made, "Service", "flow-encoder")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
    _, figures = manifest(made, "NetworkPolicy", "flow-encoder")["spec"]["ingress"]
    assert figures == {"from": [{"namespaceSelector": {}}], "ports": [{"port": 9090, "protocol": "TCP"}]}
    assert "prometheus-adapter" in made.notes[0]


def test_a_service_monitor_has_the_published_fields(tmp_path: Path) -> None:
    secured = {"metrics_port": 0, "keys_file": "/keys.json", "tls_cert": "/c.pem", "tls_key": "/k.pem"}
    made = kubernetes(flow_file(tmp_path, gateway=secured))
    monitor = manifest(made, "ServiceMonitor", "flow-gateway")
    # Source: https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"].keys() <= {"selector", "endpoints", "namespaceSelector", "jobLabel"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {
        "port": "metrics",
        "path": "/metrics",
        "interval": "15s",
        "scheme": "https",
        "tlsConfig": {"insecureSkipVerify": True},
        "authorization": {"type": "Bearer", "credentials": {"name": "flow-metrics-key", "key": "key"}},
    }
    service = manifest(made, "Service", "flow-gateway")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_pods_start_again_where_their_own_flow_differs(tmp_path: Path) -> None:
    def marks(**settings: Any) -> list[str]:
        made = kubernetes(flow_file(tmp_path, **settings))
        names = ("flow-encoder", "flow-gateway")
        pods = [manifest(made, "Deployment", name)["spec"]["template"]["metadata"] for name in names]
        return [one["annotations"]["dure.dev/flow-sha256"] for one in pods]

    before, after = marks(), marks(uses_with={"x": 1})
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_volume_of_one_is_let_go_before_the_next_takes_it(tmp_path: Path) -> None:
    made = kubernetes(flow_file(tmp_path, volumes=["data:/data"]))
    assert manifest(made, "PersistentVolumeClaim", "flow-data")["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert manifest(made, "Deployment", "flow-encoder")["spec"]["strategy"] == {"type": "Recreate"}
    made = kubernetes(flow_file(tmp_path, volumes=["data:/data"], replicas=2), cluster=Cluster(volume_size="1Ti"))
    spec = manifest(made, "PersistentVolumeClaim", "flow-data")["spec"]
    assert spec == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}}
    assert "strategy" not in manifest(made, "Deployment", "flow-encoder")["spec"]


def test_a_flow_for_this_machine_alone_is_not_opened_to_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"whoever reaches the gateway's Service is served.* insecure: true"):
        kubernetes(flow_file(tmp_path, gateway={"insecure": False}))


def test_an_image_that_could_be_anybodys_is_told(tmp_path: Path) -> None:
    assert not any("names no registry" in note for note in kubernetes(flow_file(tmp_path)).notes)
    for image in ("encoder", "team/encoder:1"):
        notes = kubernetes(flow_file(tmp_path, uses=f"docker://{image}")).notes
        assert [note for note in notes if note.startswith(f"{image} names no registry")]
    assert not any("names no" in note for note in kubernetes(flow_file(tmp_path, uses="docker://host:5000/e")).notes)


def test_a_port_below_1024_is_the_services_alone(tmp_path: Path) -> None:
    made = valid(kubernetes(flow_file(tmp_path, gateway={"protocol": ["http"], "port": 80})))
    (port,) = manifest(made, "Service", "flow-gateway")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 8080)
    assert container(made, "flow-gateway")["ports"] == [{"name": "http", "containerPort": 8080}]


def test_two_names_have_to_fit_into_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"executors\[0\]\.name: 'a{30}-b{30}' is 61 characters"):
        kubernetes(flow_file(tmp_path, gateway={"name": "a" * 30}, name="b" * 30))


def test_names_that_mean_the_same_in_kubernetes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not told apart"):
        kubernetes(flow_file(tmp_path, volumes=["cache:/data"], cache=True))
    text = (
        "executors: [{uses: 'docker://a', name: one_two}, {uses: 'docker://b', name: One_Two}]\nwith: {insecure: true}"
    )
    with pytest.raises(SpecError, match=r"executors\[1\]\.name: 'One_Two' is 'flow-one-two' there"):
        kubernetes(written(tmp_path, text))


@pytest.mark.parametrize("told", [{"gpu": "gpu"}, {"volume_size": "ten"}])
def test_a_wrong_word_about_the_cluster_is_an_error(told: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="--"):
        Cluster(**told)  # type: ignore[arg-type]
