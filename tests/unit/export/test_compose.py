import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dure.errors import SpecError
from dure.export.compose import FRONT, Composition
from dure.export.decisions import EXECUTOR, GATEWAY, Refused
from dure.export.files import write_files, yaml_text
from dure.export.workload import Wishes
from dure.spec import BatchSpec
from tests.unit.export.exported import compose, flow_file, flow_in

CACHES = ["/home/dure/.cache/huggingface", "/home/dure/.cache/torch"]
Reading = tuple[Any, Callable[[Composition], Any]]
"""A value of a setting, and how it is read back."""


def service(made: Composition, name: str = "encoder") -> Any:
    return made.document["services"][name]


def own(field: str) -> Callable[[Composition], Any]:
    return lambda made: getattr(flow_in(made, "encoder").executors[0], field)


def asked(field: str) -> Callable[[Composition], Any]:
    return lambda made: getattr(flow_in(made, "gateway").executors[0], field)


def entrance(field: str) -> Callable[[Composition], Any]:
    return lambda made: getattr(flow_in(made, "gateway").gateway, field)


def secret(field: str) -> Callable[[Composition], Any]:
    def read(made: Composition) -> Any:
        assert entrance(field)(made) == f"/run/secrets/{field}"
        assert field in service(made, "gateway")["secrets"]
        return made.document["secrets"][field]["file"]

    return read


def devices(made: Composition) -> Any:
    (device,) = service(made)["deploy"]["resources"]["reservations"]["devices"]
    return device


def said_twice(made: Composition) -> bool:
    return bool(own("max_queue_size")(made) == asked("max_queue_size")(made))


EXECUTOR_SETTINGS: dict[str, Reading] = {
    "uses": ("docker://other.example/encoder:2", lambda made: f"docker://{service(made)['image']}"),
    "name": ("tagger", lambda made: next(iter(made.document["services"]))),
    "needs": (["gateway"], asked("needs")),
    "replicas": (3, lambda made: service(made)["deploy"]["replicas"]),
    "concurrency": (4, own("concurrency")),
    "cpu_threads": (2, own("cpu_threads")),
    "uses_with": ({"model": "small", "deep": [1, {"x": "y$Z"}]}, own("uses_with")),
    "uses_requests": ({"/encode": "run"}, own("uses_requests")),
    "device": ("cpu", own("device")),
    "device_memory": (0.5, own("device_memory")),
    "env": (
        {"WORDS": "one $two ${three}"},
        lambda made: {name: text.replace("$$", "$") for name, text in service(made)["environment"].items()},
    ),
    "batching": (BatchSpec(max_batch_size=8, max_queue_delay_s=0.1), own("batching")),
    "cache_size": (100, own("cache_size")),
    "max_queue_size": (10, lambda made: own("max_queue_size")(made) if said_twice(made) else None),
    "max_call_s": (30.0, own("max_call_s")),
    "timeout_ready_s": (100.0, lambda made: float(service(made)["healthcheck"]["start_period"].rstrip("s"))),
    "gpus": (2, lambda made: devices(made)["count"]),
    "volumes": (["data:/data"], lambda made: ["{source}:{target}".format(**service(made)["volumes"][1])]),
    "cache": (True, lambda made: [one.split(":")[1] for one in service(made)["volumes"][1:]] == CACHES),
    "user": ("1234:5678", lambda made: service(made)["user"]),
    "max_memory": (6_000_000_000, lambda made: service(made)["mem_limit"]),
    "max_cpus": (1.5, lambda made: service(made)["cpus"]),
    "max_processes": (100, lambda made: service(made)["pids_limit"]),
    "network": ("backend", lambda made: service(made)["networks"][1]),
    "docker_kwargs": (
        {"shm_size": "1g", "ulimits": [{"name": "nofile", "soft": 1, "hard": 2}], "tmpfs": {"/x": "size=1m", "/y": ""}},
        lambda made: {
            "shm_size": service(made)["shm_size"],
            "ulimits": [{"name": name, **limits} for name, limits in service(made)["ulimits"].items()],
            "tmpfs": {one.partition(":")[0]: one.partition(":")[2] for one in service(made)["tmpfs"]},
        },
    ),
}
"""A value of every setting of an Executor that has a counterpart."""

EXECUTOR_REFUSED: dict[str, Any] = {
    "group": "a",
    "py_modules": ["words.py"],
    "max_replicas": 5,
    "ray_options": {"num_cpus": 2},
}

KEYS = {"keys_file": "/keys.json", "tls_cert": "/cert.pem", "tls_key": "/key.pem", "tls_client_ca": "/ca.pem"}
GATEWAY_SETTINGS: dict[str, Reading] = {
    "protocol": (["http", "grpc"], entrance("protocol")),
    "host": ("0.0.0.0", lambda made: service(made, "gateway")["ports"][0].partition(":")[0]),
    "port": ([8000, 9000], lambda made: [int(one.split(":")[1]) for one in service(made, "gateway")["ports"]]),
    "metrics_port": (9999, lambda made: int(service(made, "gateway")["ports"][-1].split(":")[1])),
    "insecure": (True, entrance("insecure")),
    "allowed_hosts": (["api.example"], lambda made: entrance("allowed_hosts")(made)[:1]),
    **{name: (value, secret(name)) for name, value in KEYS.items()},
    "audit_file": ("/audit.jsonl", lambda made: f"/{entrance('audit_file')(made).rpartition('/')[2]}"),
    **{
        name: (value, entrance(name))
        for name, value in {
            "max_connection_age_s": 60.0,
            "traces_address": "http://collector.example:4318",
            "traces_share": 0.5,
            "page": False,
            "apps": {"/shop": "shop:app"},
            "public_address": "api.example",
            "max_request_bytes": 1000,
            "max_queued_bytes": 1000,
            "max_queued": 10,
            "cors_origins": ["https://shop.example"],
            "trusted_proxies": ["10.0.0.1"],
            "max_requests_per_s_per_address": 1.0,
            "max_rows_per_s_per_address": 2.0,
            "max_bytes_per_s_per_address": 3.0,
            "max_tokens_per_s_per_address": 4.0,
            "max_concurrent_per_address": 5,
        }.items()
    },
}
"""A value of every setting of a gateway that has a counterpart."""

GATEWAY_REFUSED: dict[str, Any] = {"reuse_port": True, "admin_port": 8500}


@pytest.mark.parametrize("field", EXECUTOR_SETTINGS)
def test_nothing_said_of_an_executor_is_lost(field: str, tmp_path: Path) -> None:
    value, read = EXECUTOR_SETTINGS[field]
    plain = {"max_batch_size": 8, "max_queue_delay_s": 0.1} if isinstance(value, BatchSpec) else value
    beside: dict[str, Any] = {"device": "gpu", "gpus": 1} if field == "device_memory" else {}
    assert read(compose(flow_file(tmp_path, **beside, **{field: plain}))) == value


@pytest.mark.parametrize("field", GATEWAY_SETTINGS)
def test_nothing_said_of_a_gateway_is_lost(field: str, tmp_path: Path) -> None:
    value, read = GATEWAY_SETTINGS[field]
    beside = {name: KEYS[name] for name in ("tls_cert", "tls_key") if field.startswith("tls")}
    web = {"protocol": ["grpc", "http"], **beside, field: value}
    assert read(compose(flow_file(tmp_path, gateway=web), Wishes(gateway_image="gateway:1"))) == value


def test_every_setting_is_read_back_or_refused() -> None:
    for table, read, refused in (
        (EXECUTOR, EXECUTOR_SETTINGS, EXECUTOR_REFUSED),
        (GATEWAY, GATEWAY_SETTINGS, GATEWAY_REFUSED),
    ):
        assert {name for name, decision in table.items() if isinstance(decision.compose, Refused)} == set(refused)
        assert set(table) - set(refused) == set(read)


@pytest.mark.parametrize("field", [*EXECUTOR_REFUSED, *GATEWAY_REFUSED])
def test_a_setting_without_a_counterpart_is_an_error(field: str, tmp_path: Path) -> None:
    of_gateway = {"port": 8080, field: GATEWAY_REFUSED[field]} if field in GATEWAY_REFUSED else {}
    of_executor = {field: EXECUTOR_REFUSED[field]} if field in EXECUTOR_REFUSED else {}
    with pytest.raises(SpecError, match=rf"\.{field}: .* has no counterpart in compose: "):
        compose(flow_file(tmp_path, gateway=of_gateway, **of_executor))


def test_docker_compose_takes_it_all(tmp_path: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("NO COMPOSE FILE WAS VALIDATED: docker-compose is not installed")
    alone = ("uses", "name", "device", "device_memory")
    settings = {name: value for name, (value, _) in EXECUTOR_SETTINGS.items() if name not in alone}
    settings |= {"batching": {"max_batch_size": 8}, "env": {"A": "x${{ ENV.WORD }}$y"}, "gpus": "0,1"}
    settings["docker_kwargs"] = {**settings["docker_kwargs"], "cpuset_cpus": "0-1", "init": True}
    settings["volumes"] = ["data:/data:ro", "./models:/models:ro", "~/out:/out:create"]
    for gateway, gateways in (({"protocol": ["http", "grpc"], "metrics_port": 0}, 3), (KEYS, 1)):
        made = compose(flow_file(tmp_path, gateway=gateway, **settings), Wishes(gateways=gateways))
        write_files(tmp_path, {"compose.yaml": yaml_text(made.document)})
        command = ["docker-compose", "-f", str(tmp_path / "compose.yaml"), "config"]
        done = subprocess.run(
            command, capture_output=True, text=True, env={"WORD": "secret", "HOME": "/h"}, check=False
        )
        assert not done.returncode, done.stderr
        told = yaml.safe_load(done.stdout)["services"]["encoder"]
        assert told["environment"]["A"] == "xsecret$$y"
        assert "secret" not in (tmp_path / "compose.yaml").read_text(encoding="utf-8").replace("secrets", "")
        unset = subprocess.run(command, capture_output=True, text=True, env={"HOME": "/h"}, check=False)
        assert unset.returncode
        assert "has no value" in unset.stderr


@pytest.mark.parametrize(
    ("gpus", "device"),
    [
        ("all", {"count": "all", "capabilities": ["gpu"]}),
        (2, {"count": 2, "capabilities": ["gpu"]}),
        ("0,1", {"device_ids": ["0", "1"], "capabilities": ["gpu"]}),
        ("device=GPU-4f2c1a2b", {"device_ids": ["GPU-4f2c1a2b"], "capabilities": ["gpu"]}),
        ("0:1", {"device_ids": ["0:1"], "capabilities": ["gpu"]}),
        (
            "driver=nvidia,capabilities=compute,utility",
            {"driver": "nvidia", "count": 1, "capabilities": ["gpu", "compute", "utility"]},
        ),
    ],
)
def test_all_forms_of_gpus(gpus: Any, device: dict[str, Any], tmp_path: Path) -> None:
    assert devices(compose(flow_file(tmp_path, gpus=gpus))) == device


def test_several_gateways_stand_behind_nginx(tmp_path: Path) -> None:
    web = {"protocol": ["http", "grpc"], "port": [8000, 0], "trusted_proxies": ["192.0.2.1"]}
    made = compose(flow_file(tmp_path, gateway=web), Wishes(gateways=3))
    gateway = service(made, "gateway")
    assert gateway["deploy"]["replicas"] == 3
    assert "ports" not in gateway
    assert service(made, FRONT)["ports"] == ["127.0.0.1:8000:8000", "127.0.0.1::8080"]
    assert "grpc_pass grpc://$gateway:8080;" in made.beside["nginx.conf"]
    assert flow_in(made, "gateway").gateway.trusted_proxies[0] == "192.0.2.1"
    assert len(flow_in(made, "gateway").gateway.trusted_proxies) > 1


@pytest.mark.parametrize(
    ("gateway", "why"),
    [
        ({"protocol": ["http", "grpc"], "port": [8000, 8000]}, r"port: nginx .* needs a port for gRPC"),
        ({"tls_cert": "c.pem", "tls_key": "k.pem"}, "tls_cert: nginx"),
        ({"max_requests_per_s_per_address": 1}, "max_requests_per_s_per_address: over gRPC"),
        ({"audit_file": "audit.jsonl"}, "audit_file: 3 gateways would write one file"),
    ],
)
def test_what_nginx_would_break_is_refused(gateway: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=why):
        compose(flow_file(tmp_path, gateway=gateway), Wishes(gateways=3))


def test_paths_start_at_the_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    volumes = ["./in:/in", "~/words:/words:ro", "./out:/out:create", "../other:/other", "./m:/root/.cache"]
    made = compose(flow_file(tmp_path, volumes=volumes))
    assert service(made)["volumes"][1:] == [
        {"type": "bind", "source": "./in", "target": "/in"},
        {"type": "bind", "source": "~/words", "target": "/words", "read_only": True},
        "./out:/out",
        {"type": "bind", "source": "./../other", "target": "/other"},
        {"type": "bind", "source": "./m", "target": "/home/dure/.cache"},
    ]


def test_an_unknown_word_of_docker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"docker_kwargs\.shm_sizes: .* Did you mean 'shm_size'\?"):
        compose(flow_file(tmp_path, docker_kwargs={"shm_sizes": "1g"}))


def test_a_variable_is_not_said_and_named_by_one_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"env\.KEY: is also named"):
        compose(flow_file(tmp_path, env={"KEY": "x"}, uses_with={"key": "${{ ENV.KEY }}"}))
