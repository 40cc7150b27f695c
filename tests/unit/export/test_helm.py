"""The chart, rendered by a reader of the little of Go's templates that it uses; Helm itself is not asked here."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dure.export.helm import chart_of
from dure.export.kubernetes import Manifests
from dure.export.workload import Wishes
from tests.unit.export.exported import flow_file, kubernetes

ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def rendered(chart: dict[str, str], values: Any) -> list[Any]:
    """Render the manifests: an action is a text in quotes, or a value as JSON. Others are errors."""

    def act(found: re.Match[str]) -> str:
        words = found[1].split()
        if len(words) == 1 and words[0].startswith('"'):
            return str(json.loads(words[0]))
        assert words[0] == "toJson"
        assert words[1].startswith(".Values.")
        value = values
        for key in words[1].split(".")[2:]:
            value = value[key]
        return json.dumps(value)

    names = [name for name in chart if name.startswith("templates/") and name.endswith(".yaml")]
    return [yaml.safe_load(ACTION.sub(act, chart[name])) for name in names]


@pytest.fixture
def made(tmp_path: Path) -> Manifests:
    settings: dict[str, Any] = {
        "max_replicas": 4,
        "max_memory": "6GiB",
        "env": {"A": "{{ b }} {{{{ }}", "C": "${{ ENV.D }}"},
        "uses_with": {"template": "{{ .Values.x }}\n'\"two\"'"},
    }
    return kubernetes(flow_file(tmp_path, **settings), Wishes(gateway_image="registry.example/gateway:2", gateways=2))


def test_its_own_values_give_the_manifests(made: Manifests) -> None:
    chart = chart_of(made, "1.2.3")
    assert rendered(chart, yaml.safe_load(chart["values.yaml"])) == made.documents


def test_images_counts_and_resources_are_values(made: Manifests) -> None:
    chart = chart_of(made, "1.2.3")
    values = yaml.safe_load(chart["values.yaml"])
    assert values["gateway"] == {"image": "registry.example/gateway:2", "replicas": 2, "resources": {}}
    values["gateway"] |= {"replicas": 5, "resources": {"limits": {"cpu": "2"}}}
    values["executors"]["encoder"] |= {"image": "other:<1>", "minReplicas": 3, "maxReplicas": 9}
    changed = {(one["kind"], one["metadata"]["name"]): one["spec"] for one in rendered(chart, values) if "spec" in one}
    gateway, encoder = (changed["Deployment", f"flow-{name}"] for name in ("gateway", "encoder"))
    assert gateway["replicas"] == 5
    assert gateway["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}
    assert encoder["template"]["spec"]["containers"][0]["image"] == "other:<1>"
    scaler = changed["HorizontalPodAutoscaler", "flow-encoder"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)


def test_a_chart_has_what_helm_asks_for(made: Manifests) -> None:
    chart = chart_of(made, "1.2.3")
    about = yaml.safe_load(chart["Chart.yaml"])
    # Source: https://helm.sh/docs/topics/charts/#the-chartyaml-file
    assert (about["apiVersion"], about["name"], about["appVersion"]) == ("v2", "flow", "1.2.3")
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"])
    assert 'kubectl create secret generic flow-env --from-literal=D="$D"' in chart["templates/NOTES.txt"]
