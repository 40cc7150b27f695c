"""Executors in containers of a real Docker Engine: the same answers, nothing lost, and walls around them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure import Client, Document, Flow
from dure.errors import BackendError, SpecError, StartFailed, WorkerCrashed
from dure.transport.door import TOKEN_BYTES, Door, Purpose
from tests.containers.workplace import build_base, build_bundle, engine
from tests.e2e.conformance import answers_as_a_local_worker_does

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IMAGE = "docker://dure-test/worker"
ROOTS_HOME = "/root"


@pytest.fixture(scope="session")
def docker() -> Iterator[Any]:
    with engine() as client:
        yield client


@pytest.fixture(scope="session")
def bundle(docker: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("containers")
    return build_bundle(docker, folder, build_base(docker, folder))


@pytest.fixture(autouse=True)
def _nothing_left(docker: Any, bundle: Path) -> Iterator[None]:
    before = of_dure(docker)
    yield
    deadline = time.monotonic() + 10
    while (left := of_dure(docker) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "a container was left behind"


def of_dure(docker: Any) -> set[str]:
    """Containers, running or not."""
    return {one["Id"] for one in docker.api.containers(all=True, filters={"label": "dure.executor"})}


def flow_of(**settings: Any) -> Flow:
    return Flow().add(**{"uses": IMAGE, "name": "worker", "timeout_ready_s": 60, **settings})


@pytest.fixture(scope="module")
def running(bundle: Path) -> Iterator[Flow]:
    with flow_of(uses_with={"prefix": "> "}) as flow:
        yield flow


# -- the same as a local worker ---------------------------------------------------------------------------------------


@pytest.fixture(params=["container", "local"])
def either(request: pytest.FixtureRequest, bundle: Path) -> Iterator[Flow]:
    uses = IMAGE if request.param == "container" else str(bundle)
    with flow_of(uses=uses, uses_with={"prefix": "> "}, replicas=2) as flow:
        yield flow


def test_it_answers_as_a_local_worker_does(either: Flow) -> None:
    answers_as_a_local_worker_does(either)


@pytest.mark.parametrize("uses", ["image", "bundle"])
def test_why_it_could_not_start(uses: str, bundle: Path) -> None:
    where = IMAGE if uses == "image" else str(bundle)
    with pytest.raises(StartFailed, match="could not be constructed: ValueError: no luck") as caught:
        flow_of(uses=where, uses_with={"fail": "no luck"}).start()
    assert "executor.py" in str(caught.value)
    assert type(caught.value.__cause__).__name__ == "ValueError"
    with pytest.raises(SpecError, match=r"takes no argument 'prefixx'\. Did you mean 'prefix'"):
        flow_of(uses=where, uses_with={"prefixx": ""}).start()


# -- its walls --------------------------------------------------------------------------------------------------------


def test_it_may_do_as_little_as_can_be(running: Flow, docker: Any) -> None:
    tags = running.post("/where", "x")[0].tags
    assert (tags["uid"], tags["NoNewPrivs"]) == (10001, "1")
    assert int(tags["CapEff"], 16) == int(tags["CapBnd"], 16) == 0
    told = {name for name in tags["env"] if name.startswith("DURE_")}
    assert told == {"DURE_HOME"}, "the token is known to user code"
    errors = running.post("/write", [Document(text=path) for path in ("/bundle/x", "/home/dure/x", "/x", "/tmp/x")])
    assert [doc.tags["error"] for doc in errors] == ["Read-only file system"] * 3 + [""]
    host = docker.containers.list(filters={"label": "dure.executor=worker"})[0].attrs
    assert host["HostConfig"]["NetworkMode"] != "host"
    published = [one["HostIp"] for ports in host["NetworkSettings"]["Ports"].values() for one in ports]
    assert published == ["127.0.0.1"]


@pytest.mark.parametrize("knock", [b"", b"GET / HTTP/1.1\r\n\r\n", "wrong token", "half a knock"])
def test_who_does_not_know_the_token_hears_nothing(running: Flow, docker: Any, knock: Any) -> None:
    ports = docker.containers.list(filters={"label": "dure.executor=worker"})[0].ports["8080/tcp"]
    port = int(ports[0]["HostPort"])
    wrong = Door("127.0.0.1", port, bytes(TOKEN_BYTES)).knock(Purpose.CONTROL)
    data = {"wrong token": wrong, "half a knock": wrong[:10]}.get(knock, knock)
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert running.post("/echo", "still there").texts == ["> still there"]


def test_limits_are_the_engines(docker: Any) -> None:
    with flow_of(name="limited", max_memory="200MiB", max_cpus=1.5, max_processes=100, user="1234:1234") as flow:
        config = docker.containers.list(filters={"label": "dure.executor=limited"})[0].attrs["HostConfig"]
        assert (config["Memory"], config["NanoCpus"], config["PidsLimit"]) == (200 * 2**20, 1_500_000_000, 100)
        assert flow.post("/where", "x")[0].tags["uid"] == 1234
        with pytest.raises(WorkerCrashed):
            flow.post("/fill", "x")
        assert flow.post("/echo", "back").texts == ["back"]


def test_volumes(tmp_path: Path) -> None:
    for name in ("ro", "rw", "cache"):
        (tmp_path / name).mkdir(mode=0o777)
        (tmp_path / name).chmod(0o777)
        (tmp_path / name / "in").write_text(name, encoding="utf-8")
    volumes = [
        f"{tmp_path}/ro:/ro:ro",
        f"{tmp_path}/rw:/rw",
        f"{tmp_path}/cache:{ROOTS_HOME}/.cache:ro",
        "dure-test:/named",
    ]
    with flow_of(volumes=volumes, env={"WORD": "said"}) as flow:
        paths = ["/ro/in", "/rw/in", "/home/dure/.cache/in"]
        assert flow.post("/read", [Document(text=path) for path in paths]).texts == ["ro", "rw", "cache"]
        back = flow.post("/write", [Document(text="/ro/out"), Document(text="/rw/out")])
        assert [doc.tags["error"] for doc in back] == ["Read-only file system", ""]
        assert flow.post("/where", "x")[0].tags["env"]["WORD"] == "said"
    assert (tmp_path / "rw" / "out").exists()


# -- it dies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_container_that_is_killed_or_hangs_is_replaced_and_nothing_is_lost(
    docker: Any, tmp_path: Path, how: str
) -> None:
    tmp_path.chmod(0o777)
    done: list[str] = []
    failed: list[str] = []
    killed_at = back_after_s = 0.0
    with flow_of(name="frail", volumes=f"{tmp_path}:/data") as flow:
        for results in flow.stream(
            "/work", (Document(text=str(i)) for i in range(300)), request_size=1, continue_on_error=True
        ):
            done += results.texts
            failed += [text for failure in results.failures for text in failure.documents.texts]
            assert all(type(failure.error) is WorkerCrashed for failure in results.failures)
            if len(done) == 20 and not killed_at:
                getattr(docker.containers.list(filters={"label": "dure.executor=frail"})[0], how)()
                killed_at = time.monotonic()
            elif failed and not back_after_s and results.texts:
                back_after_s = time.monotonic() - killed_at
    assert sorted(done + failed, key=int) == [str(i) for i in range(300)]
    assert len(failed) <= 1, "what was begun, and no more"
    begun = (tmp_path / "begun").read_text(encoding="utf-8").splitlines()
    assert Counter(begun).most_common(1)[0][1] == 1, "a request was begun twice"
    assert back_after_s < (5 if how == "kill" else 8), "what hangs is waited for a little"


def test_its_end_and_its_last_words_are_told(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    with flow_of() as flow:
        with pytest.raises(WorkerCrashed):
            flow.post("/die", "x")
        assert flow.post("/echo", "back").texts == ["back"]
    assert "the worker of worker in a container of dure-test/worker exited with code 42" in caplog.text
    assert "these were its last words" in capfd.readouterr().out


def test_an_image_of_something_else() -> None:
    with pytest.raises(StartFailed, match=r"exited with code 1 without a word .is it an image of dure") as caught:
        flow_of(uses="docker://dure-test/base").start()
    assert "No module named 'dure'" in str(caught.value)


PARENT = f"""
import time
from dure import Flow
flow = Flow().add(uses={IMAGE!r}, name="worker", timeout_ready_s=60).start()
print("started", flow.post("/echo", "x").texts, flush=True)
time.sleep(60)
"""


def test_it_ends_with_whoever_started_it(docker: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=dict(os.environ)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started ['x']\n"
        assert of_dure(docker)
        parent.send_signal(signal.SIGKILL)
    # that it is gone, and removed, is looked at after every test


# -- what cannot be started -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        (
            {"uses": "docker://dure-test/nothing"},
            BackendError,
            "no image 'dure-test/nothing' .*docker build .*from which registry",
        ),
        ({"uses": "docker://Not A Name"}, SpecError, "is no image's name"),
        ({"volumes": "/not/there:/data"}, SpecError, r"volumes\[0\]: '/not/there': there is no /not/there"),
        ({"network": "dure-test-none"}, BackendError, "network.* not found"),
        ({"docker_kwargs": {"shm_sizee": "1g"}}, SpecError, "the Docker SDK refuses them: .*shm_sizee"),
    ],
)
def test_what_cannot_be_started(settings: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        flow_of(**settings).start()


def test_gpus_where_the_engine_has_none(docker: Any) -> None:
    if "nvidia" in docker.info()["Runtimes"]:
        pytest.skip("this engine has the NVIDIA runtime")
    with pytest.raises(
        BackendError, match=r"worker.gpus: the Docker Engine has no NVIDIA runtime: install .*nvidia-ctk"
    ):
        flow_of(gpus="all").start()


def test_where_no_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///not/there.sock")
    with pytest.raises(
        BackendError, match=r"no Docker Engine answers at unix:///not/there.sock .*install it: https://"
    ):
        flow_of().start()


# -- the image by itself ----------------------------------------------------------------------------------------------


def test_docker_run_serves_it(docker: Any) -> None:
    container = docker.containers.run(
        "dure-test/worker", detach=True, read_only=True, tmpfs={"/tmp": ""}, ports={"8080/tcp": ("127.0.0.1", None)}
    )
    try:
        deadline = time.monotonic() + 30
        while "Flow is ready" not in container.logs().decode():
            assert time.monotonic() < deadline, container.logs().decode()
            time.sleep(0.1)
        container.reload()
        with Client(port=int(container.ports["8080/tcp"][0]["HostPort"])) as client:
            assert client.post("/echo", "x").texts == ["x"]
        assert docker.images.get("dure-test/worker").labels["dev.dure.version"]
    finally:
        container.remove(force=True)
