from pathlib import Path
from typing import Any

import pytest

from dure.errors import SpecError
from dure.export.stack import read_stack
from dure.export.workload import Engine, Stack, Wishes
from dure.spec import ExecutorSpec
from tests.unit.export.exported import flow_file, written

ENGINE = Engine(name="compose", is_shared=False, is_exposed=False, places={"keys_file": "/run/secrets/keys"})
BARE = Wishes()
TWO = """
jtype: Flow
executors:
  - {uses: 'docker://a:1', replicas: 2}
  - {uses: words.py, needs: gateway, name: counter}
  - {uses: 'docker://b:1', needs: [executor0, counter], name: last_one}
"""


def stack(path: Path, wishes: Wishes = BARE) -> Stack:
    return read_stack(path, wishes, ENGINE)


def test_a_workload_for_each_executor_and_their_graph_in_the_gateway(tmp_path: Path) -> None:
    made = stack(written(tmp_path, TWO), Wishes(images={"counter": "registry.example/c:2"}))
    assert [(unit.label, unit.image) for unit in made.units] == [
        ("executor0", "a:1"),
        ("counter", "registry.example/c:2"),
        ("last-one", "b:1"),
    ]
    assert made.entrance.image == "a:1"
    assert made.entrance.flow.executors == [
        ExecutorSpec(uses="dure://executor0:8080", name="executor0", needs=["gateway"]),
        ExecutorSpec(uses="dure://counter:8080", name="counter", needs=["gateway"]),
        ExecutorSpec(uses="dure://last-one:8080", name="last_one", needs=["executor0", "counter"]),
    ]


def test_what_is_no_image_is_told_how_to_become_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"executors\[1\]\.uses: .* is no image.*dure hub build.*--image counter="):
        stack(written(tmp_path, TWO))


@pytest.mark.parametrize("uses", ["docker://", "docker://a b"])
def test_what_names_no_image(uses: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names no image"):
        stack(flow_file(tmp_path, uses=uses))


def test_a_flow_elsewhere_stays_where_it_is(tmp_path: Path) -> None:
    text = """
    executors:
      - {uses: 'docker://a:1', name: near}
      - {uses: 'dure://far.example:5000', name: far, uses_with: {key: '${{ ENV.KEY }}'}}
    """
    made = stack(written(tmp_path, text))
    assert [unit.label for unit in made.units] == ["near"]
    assert made.entrance.flow.executors[1].uses == "dure://far.example:5000"
    assert made.entrance.named == ["KEY"]
    with pytest.raises(SpecError, match="--gateway-image"):
        stack(written(tmp_path, text.replace("key: ", "tls_ca: /ca.pem, key: ")))
    with pytest.raises(SpecError, match=r"far\.max_cpus: means nothing"):
        stack(written(tmp_path, text.replace("name: far", "name: far, max_cpus: 1")))


def test_a_flow_of_others_alone_needs_an_image_for_its_gateway(tmp_path: Path) -> None:
    path = flow_file(tmp_path, uses="dure://far.example:5000")
    with pytest.raises(SpecError, match="which is the gateway's: --gateway-image"):
        stack(path)
    assert stack(path, Wishes(gateway_image="g:1")).entrance.image == "g:1"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"gateway": {"apps": {"/shop": "shop:app"}, "protocol": "http"}}, r"with\.apps: .* --gateway-image"),
        ({"gateway": {"traces_address": "http://127.0.0.1:4318"}}, "would be the container itself"),
        ({"gateway": {"traces_address": "localhost"}}, "would be the container itself"),
        ({"gateway": {"host": "0.0.0.0", "insecure": False}}, "host: .* insecure"),
        ({"gateway": {"keys_file": "${{ ENV.FILE }}"}}, r"with\.keys_file: .* has no value yet"),
        ({"gateway": {"name": "two words"}}, "with.name: 'two words' cannot be a name in DNS"),
        ({"name": "두레"}, r"executors\[0\]\.name: '두레' cannot be a name in DNS"),
        ({"name": "x_"}, "cannot be a name in DNS"),
        ({"name": "x" * 53}, "is 53 characters"),
        ({"name": "gateway"}, "executors.0..name"),
        ({"needs": ["nobody"]}, "nobody"),
        ({"device": ["cpu", "gpu"]}, "are taken in turn"),
        ({"device": "gpu"}, "say gpus: 1 as well"),
        ({"gpus": "some"}, "gpus"),
        ({"max_memory": "much"}, "max_memory: 'much' is no size"),
        ({"docker_kwargs": {"mem_limit": 1}}, "docker_kwargs.mem_limit: .* max_memory="),
        ({"user": "${{ ENV.ME }}"}, r"executors\[0\]\.user: .* has no value yet"),
    ],
)
def test_what_cannot_be_meant(settings: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=why):
        stack(flow_file(tmp_path, **settings))


def test_an_empty_flow_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there are none"):
        stack(written(tmp_path, "jtype: Flow\n"))
    with pytest.raises(SpecError, match=r"--image: there is no Executor 'encode'\. Did you mean 'encoder'\?"):
        stack(flow_file(tmp_path), Wishes(images={"encode": "x"}))
