import json

import pytest
from click.testing import CliRunner, Result

from dure.cli.main import cli
from dure.device.probe import inventory


def dure(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_table_has_a_line_for_every_device() -> None:
    found = inventory()

    lines = dure("devices").output.splitlines()

    assert lines[0].split("  ")[0] == "device"
    for column in ("name", "memory total", "memory free", "driver"):
        assert column in lines[0]
    for line, device in zip(lines[1:], found.devices, strict=False):
        assert line.startswith(str(device.context))
        assert device.name in line
        assert "GiB" in line
        assert line.index(device.name) == lines[0].index("name")


def test_simulated_gpus_are_listed_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    output = dure("devices").output

    assert [line.split()[0] for line in output.splitlines()[1:]] == ["cpu(0)", "gpu(0)", "gpu(1)"]
    assert output.count("simulated") == 2
    assert "No GPU" not in output


def test_says_why_there_is_no_gpu_and_still_lists_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "0")

    lines = dure("devices").output.splitlines()

    assert lines[1].startswith("cpu(0)")
    assert lines[-1] == f"No GPU: {inventory().missing}"
    assert "DURE_SIMULATE_GPUS" in lines[-1]


def test_json_has_sizes_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    found = json.loads(dure("devices", "--json").output)

    host, gpu = found["devices"]
    assert host["device"] == "cpu(0)"
    assert host["memory_total_bytes"] > host["memory_free_bytes"] > 0
    assert gpu["device"] == "gpu(0)"
    assert found["missing"] == ""


def test_an_unreadable_setting_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "many")

    result = dure("devices")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "many" in result.stderr
