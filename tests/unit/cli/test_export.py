from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dure.cli.main import cli
from tests.unit.export.exported import IMAGE, flow_file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, words)], prog_name="dure")


def test_manifests_go_to_standard_output_and_notes_to_standard_error(tmp_path: Path) -> None:
    done = run("kubernetes", flow_file(tmp_path, env={"KEY": "${{ ENV.KEY }}"}))
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert kinds[0] == "ConfigMap"
    assert kinds.count("Deployment") == 2
    assert 'Before it can start:  kubectl create secret generic flow-env --from-literal=KEY="$KEY"' in done.stderr


def test_manifests_as_files(tmp_path: Path) -> None:
    path, out = flow_file(tmp_path, gpus=1), tmp_path / "out"
    done = run("kubernetes", path, "-o", out, "--gateways", "3", "--gpu-resource", "nvidia.com/mig-1g.10gb")
    assert not done.exit_code, done.output
    read = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in out.iterdir()}
    assert read["flow-gateway-deployment.yaml"]["spec"]["replicas"] == 3
    (container,) = read["flow-encoder-deployment.yaml"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/mig-1g.10gb": "1"}}
    run("kubernetes", flow_file(tmp_path, name="other"), "-o", out)
    assert not (out / "flow-encoder-deployment.yaml").exists()


def test_a_chart(tmp_path: Path) -> None:
    path, out = flow_file(tmp_path), tmp_path / "chart"
    assert not run("kubernetes", path, "--helm", "-o", out).exit_code
    values = yaml.safe_load((out / "values.yaml").read_text(encoding="utf-8"))
    assert values["executors"]["encoder"]["image"] == IMAGE
    assert "Error: --helm: a chart is a folder; say which: -o DIR" in run("kubernetes", path, "--helm").output


def test_a_compose_file_and_what_it_mounts(tmp_path: Path) -> None:
    path, out = flow_file(tmp_path, uses="words.py"), tmp_path / "new" / "stack.yaml"
    done = run("compose", path, "-o", out, "--image", "encoder=own:1", "--gateways", "2", "--nginx-image", "n:1")
    assert not done.exit_code, done.output
    services = yaml.safe_load(out.read_text(encoding="utf-8"))["services"]
    assert {name: one["image"] for name, one in services.items()} == {
        "encoder": "own:1",
        "gateway": "own:1",
        "nginx-front": "n:1",
    }
    for service in services.values():
        assert (out.parent / service["volumes"][0]["source"]).is_file()
    assert (out.parent / "stack.d/dure.flow.yml").read_text(encoding="utf-8").endswith(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("engine", ["kubernetes", "compose"])
def test_an_error_names_the_setting(engine: str, tmp_path: Path) -> None:
    done = run(engine, flow_file(tmp_path, group="one"))
    assert done.exit_code == 1
    assert done.output.startswith("Error: executors[0].group: 'one' has no counterpart in ")
