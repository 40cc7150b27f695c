import pytest

from dure.device.context import cpu, gpu
from dure.device.probe import inventory, require_device
from dure.errors import DeviceNotFound, SpecError


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_VISIBLE_DEVICES", "DURE_SIMULATE_GPUS", "DURE_SIMULATE_GPU_MEMORY"):
        monkeypatch.delenv(variable, raising=False)


def test_the_host_is_always_there() -> None:
    host = inventory().devices[0]
    assert host.context is cpu()
    assert host.memory_total_bytes is not None
    assert host.memory_free_bytes is not None
    assert 0 < host.memory_free_bytes <= host.memory_total_bytes
    assert require_device(cpu()).context is cpu()


def test_either_there_is_a_gpu_or_it_is_said_why_not() -> None:
    found = inventory()
    assert bool(found.gpus) != bool(found.missing)


def test_simulated_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    monkeypatch.setenv("DURE_SIMULATE_GPU_MEMORY", "1000")
    found = inventory()
    assert [gpu_info.context for gpu_info in found.gpus] == [gpu(0), gpu(1)]
    assert found.gpus[0].memory_total_bytes == 1000
    assert "simulated" in found.gpus[0].name
    assert found.missing == ""
    assert require_device(gpu(1)) == found.gpus[1]


def test_a_look_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    assert len(inventory().gpus) == 2
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "8")
    assert len(inventory().gpus) == 8
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "0")
    assert inventory().gpus == ()
    assert inventory().missing == "DURE_SIMULATE_GPUS is 0."


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("3,1", ["3", "1"]),
        (" 2 , 0 ", ["2", "0"]),
        ("0,9,1", ["0"]),
        ("0,-1,1", ["0"]),
        ("1,1", []),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_only_what_cuda_would_show(monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = inventory()
    assert [info.visible_as for info in found.gpus] == expected
    assert [info.context.index for info in found.gpus] == list(range(len(expected)))
    if not expected:
        assert repr(visible) in found.missing
        assert "4" in found.missing


def test_an_absent_device_is_refused_with_those_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "2")
    with pytest.raises(DeviceNotFound) as caught:
        require_device(gpu(7))
    assert str(caught.value) == ("gpu(7) is not on this machine. Present: cpu(0), gpu(0), gpu(1).")


def test_without_a_gpu_the_refusal_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "0")
    with pytest.raises(DeviceNotFound, match=r"Present: cpu\(0\). There is no GPU: DURE_SIM"):
        require_device(gpu())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DURE_SIMULATE_GPUS", "two"),
        ("DURE_SIMULATE_GPUS", "-1"),
        ("DURE_SIMULATE_GPUS", "²"),
        ("DURE_SIMULATE_GPU_MEMORY", "0"),
        ("DURE_SIMULATE_GPU_MEMORY", "8GB"),
    ],
)
def test_a_variable_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("DURE_SIMULATE_GPUS", "1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SpecError, match=variable):
        inventory()


def test_a_real_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    found = inventory()
    if not found.gpus:
        pytest.skip(f"no GPU: {found.missing}")
    first = found.gpus[0]
    assert first.name
    assert first.driver
    assert first.visible_as.startswith("GPU-")
    if first.memory_total_bytes is not None and first.memory_free_bytes is not None:
        assert 0 < first.memory_free_bytes <= first.memory_total_bytes
    for visible in (first.visible_as, first.visible_as[:12], "0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert [info.visible_as for info in inventory().gpus] == [first.visible_as]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-none")
    assert inventory().gpus == ()
