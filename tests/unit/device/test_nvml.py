"""What is made of the NVIDIA library's answers; the library itself needs a GPU, so here it is a stand-in."""

from types import SimpleNamespace

import pytest

from dure.device import probe
from dure.device.context import gpu
from dure.device.probe import inventory, require_device
from dure.errors import DeviceNotFound

GIB = 2**30


class Failure(Exception):
    pass


class Unsupported(Failure):
    pass


class Library:
    NVMLError = Failure
    NVMLError_NotSupported = Unsupported
    NVMLError_LibraryNotFound = type("NVMLError_LibraryNotFound", (Failure,), {})

    def __init__(self, *identities: str) -> None:
        self.identities = identities
        self.opened = 0

    def nvmlInit(self) -> None:  # noqa: N802  (the names are NVIDIA's)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return sum(identity.startswith("GPU-") for identity in self.identities)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return self.identities[index]

    def nvmlDeviceGetHandleByUUID(self, identity: str) -> str:  # noqa: N802
        if identity not in self.identities:
            raise Failure("Not Found")
        return identity

    def nvmlDeviceGetUUID(self, handle: str) -> str:  # noqa: N802
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return f"Model {handle[-1]}"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        if handle == "GPU-shared":
            raise Unsupported("Not Supported")
        return SimpleNamespace(total=80 * GIB, free=79 * GIB)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    stand_in = Library("GPU-aa1", "GPU-ab2", "GPU-shared", "MIG-c4")
    monkeypatch.setattr(probe, "require", lambda module, extra: stand_in)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return stand_in


def test_devices_are_described(library: Library) -> None:
    found = inventory()
    assert [info.context for info in found.gpus] == [gpu(0), gpu(1), gpu(2)]
    first, _, shared = found.gpus
    assert (first.name, first.driver, first.visible_as) == ("Model 1", "580.1", "GPU-aa1")
    assert (first.memory_total_bytes, first.memory_free_bytes) == (80 * GIB, 79 * GIB)
    assert (shared.memory_total_bytes, shared.memory_free_bytes) == (None, None)
    assert found.missing == ""
    assert library.opened == 0


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("1,0", ["GPU-ab2", "GPU-aa1"]),
        ("GPU-ab2", ["GPU-ab2"]),
        ("GPU-ab", ["GPU-ab2"]),
        ("GPU-a", []),
        ("GPU-none,0", []),
        ("0,GPU-shared,7,1", ["GPU-aa1", "GPU-shared"]),
        ("MIG-c4", ["MIG-c4"]),
        ("MIG-none", []),
        ("aa1", []),
        ("", []),
    ],
)
def test_only_what_cuda_would_show(
    library: Library, monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = inventory()
    assert [info.visible_as for info in found.gpus] == expected
    assert bool(found.missing) != bool(expected)


def test_a_machine_with_a_driver_and_no_gpu(library: Library) -> None:
    library.identities = ()
    assert inventory().missing == "the NVIDIA driver is installed but finds no GPU."


def test_a_driver_that_does_not_answer(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise Failure("Driver/library version mismatch")

    monkeypatch.setattr(library, "nvmlInit", fail)
    with pytest.raises(DeviceNotFound, match="does not answer: Driver/library version mismatch"):
        require_device(gpu())
    monkeypatch.undo()


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert "pip install 'dure[gpu]'" in inventory().missing
