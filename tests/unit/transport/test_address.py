"""Where sockets are, for whoever starts a Flow and for whoever calls it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure.errors import BackendError
from dure.transport.address import find_native, listening_socket, native_path, runtime_folder, written


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a short folder, as systemd makes one for a session."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        yield Path(base)


def test_the_folder_is_its_users_alone(base: Path) -> None:
    folder = runtime_folder()
    assert folder.parent == base
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(BackendError, match="must be a folder of user"):
        runtime_folder()


def test_a_link_is_not_followed(base: Path) -> None:
    (folder := runtime_folder()).rmdir()
    (base / "other").mkdir(mode=0o700)
    folder.symlink_to(base / "other")
    with pytest.raises(BackendError):
        runtime_folder()
    assert find_native("127.0.0.1", 1) is None, "who only calls a Flow elsewhere needs none"


@pytest.mark.parametrize("name", ["/no/such/folder", "", "x" * 90])
def test_a_base_that_cannot_be_used(base: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    long = base / name
    if len(name) == 90:
        long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", name if name.startswith("/") or not name else str(long))
    assert runtime_folder().parent == Path(tempfile.gettempdir())


def test_a_flow_is_found_under_every_name_of_this_machine(base: Path) -> None:
    with listening_socket(native_path("127.0.0.1", 5)):
        for host in ("127.0.0.1", "localhost", "::1"):
            assert find_native(host, 5) == native_path("127.0.0.1", 5)
        assert find_native("127.0.0.1", 6) is None
        assert find_native("example.org", 5) is None
    with listening_socket(native_path("0.0.0.0", 7)):
        assert find_native("localhost", 7) == native_path("0.0.0.0", 7)


def test_a_socket_that_was_left_behind_is_replaced(base: Path) -> None:
    path = native_path("127.0.0.1", 5)
    listening_socket(path).close()
    assert path.exists()
    with listening_socket(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_addresses_as_grpc_reads_them() -> None:
    assert written("127.0.0.1", 5) == "127.0.0.1:5"
    assert written("::1", 5) == "[::1]:5"
