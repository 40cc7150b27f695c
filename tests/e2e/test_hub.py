"""Bundles to and from a real registry: the same bytes, verified, cached, and every way in which that can fail."""

import base64
import gzip
import io
import json
import multiprocessing
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509 import load_pem_x509_certificate

from dure.errors import HubError
from dure.hub.artifact import Descriptor, digest_of, read_manifest, source_of, write_record
from dure.hub.publication import publish
from dure.hub.reference import parse_reference
from dure.hub.registry import Registry
from dure.hub.retrieval import fetch, retrieve
from tests.registry.workplace import PASSWORD, USER, Site, make_bundle, registry, settle


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def at_home(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a user of the registry has set, and an empty cache."""
    settle(site, tmp_path, monkeypatch)
    return tmp_path


def push(folder: Path, name: str, *tags: str, text: str = "") -> str:
    """Push a bundle of that name; return its digest."""
    bundle = make_bundle(folder / f"{name}-{len(list(folder.iterdir()))}", name=name, text=text)
    return publish(bundle, parse_reference(f"hub://{name}"), tags=tags).reference.digest


def tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), os.access(path, os.X_OK)) for path in files}


def layer_of(site: Site, name: str, digest: str) -> Descriptor:
    return source_of(read_manifest(site.file(digest).read_bytes(), name), name)[1]


def other_ca(folder: Path) -> Path:
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=other"]
    command += ["-keyout", str(folder / "other.key"), "-out", str(folder / "other.crt")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "other.crt"


def test_what_comes_back_is_what_was_pushed_byte_for_byte(at_home: Path) -> None:
    bundle = make_bundle(at_home / "Shout", text="두레\n" * 1000)
    (bundle / "empty.bin").touch()
    (bundle / "weights.bin").write_bytes(os.urandom(3 * 2**20))
    (bundle / ".git").mkdir()
    (bundle / ".git" / "config").write_text("secret")
    done = publish(bundle, parse_reference("hub://Shout"), tags=["1.0", "latest"])

    for reference in ("hub://Shout:1.0", "hub://Shout", "hub://team/shout", str(done.reference)):
        got = tree(fetch(reference))
        assert done.left_out == [".git"]
        assert got == {name: content for name, content in tree(bundle).items() if not name.startswith(".git/")}
    assert got["run.sh"][1]
    assert not got["config.yml"][1]


def test_a_tag_moves_and_a_digest_stays(at_home: Path) -> None:
    first = push(at_home, "Mover", text="first")
    one = fetch("hub://Mover")
    second = push(at_home, "Mover", text="second")

    assert first != second
    assert fetch("hub://Mover") == one  # as Docker: what is there is used
    moved = retrieve(parse_reference("hub://Mover"), refresh=True)
    assert moved.digest == second
    assert (fetch("hub://Mover") / "data/words.txt").read_text() == "second"
    assert (fetch(f"hub://Mover@{first}") / "data/words.txt").read_text() == "first"


def test_the_same_files_are_the_same_layer(site: Site, at_home: Path) -> None:
    digests = [push(at_home, "Twin", tag) for tag in ("a", "b")]
    assert len({layer_of(site, "Twin", digest).digest for digest in digests}) == 1


def test_what_is_in_the_cache_needs_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as site:
        settle(site, tmp_path, monkeypatch)
        digest = push(tmp_path, "Kept", "1.0")
        folder = fetch("hub://Kept:1.0")

    assert fetch("hub://Kept:1.0") == folder
    assert fetch(f"hub://Kept@{digest}") == folder
    with pytest.raises(HubError, match=f"no registry answers at {site.host}.*Is it up"):
        fetch("hub://Kept:2.0")
    with pytest.raises(HubError, match="no registry answers"):
        retrieve(parse_reference("hub://Kept:1.0"), refresh=True)


def test_offline_nothing_is_asked(site: Site, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(at_home, "Away", "1.0")
    folder = fetch("hub://Away:1.0")
    monkeypatch.setenv("DURE_OFFLINE", "1")
    asked = site.log()

    assert fetch("hub://Away:1.0") == folder
    for reference, refresh in (("hub://Away:2.0", False), ("hub://Away:1.0", True)):
        with pytest.raises(HubError, match="DURE_OFFLINE"):
            retrieve(parse_reference(reference), refresh=refresh)
    with pytest.raises(HubError, match="DURE_OFFLINE"):
        push(at_home, "Away")
    assert site.log() == asked


def test_a_wrong_password_is_said(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_HUB_PASSWORD", "guess")
    with pytest.raises(
        HubError, match=rf"refuses the user '{USER}' of DURE_HUB_USER.*DURE_HUB_PASSWORD.*docker login"
    ) as caught:
        push(at_home, "Shut")
    assert "guess" not in str(caught.value)
    monkeypatch.delenv("DURE_HUB_PASSWORD")
    with pytest.raises(HubError, match="set both"):
        fetch("hub://Shut")


def test_the_password_of_one_registry_is_told_to_no_other(site: Site, at_home: Path) -> None:
    with pytest.raises(HubError, match="no account for it here"):
        fetch(f"hub://127.0.0.1:{site.port}/team/Shout")


def test_accounts_that_docker_knows_are_used(site: Site, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(at_home, "Docked")
    monkeypatch.delenv("DURE_HUB_USER")
    monkeypatch.delenv("DURE_HUB_PASSWORD")
    config = at_home / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text(
        json.dumps({"auths": {site.host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}})
    )
    assert fetch("hub://Docked").exists()

    keeper = at_home / "bin" / "docker-credential-tests"
    keeper.parent.mkdir()
    keeper.write_text(
        f'#!/bin/sh\nread host\n[ $host = {site.host} ] && echo \'{{"Username":"{USER}","Secret":"{PASSWORD}"}}\'\n'
    )
    keeper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{keeper.parent}:{os.environ['PATH']}")
    config.write_text(json.dumps({"credsStore": "tests"}))
    assert retrieve(parse_reference("hub://Docked"), refresh=True)
    config.write_text(json.dumps({"credHelpers": {site.host: "absent"}}))
    with pytest.raises(HubError, match=r"docker-credential-absent, which .* did not answer"):
        retrieve(parse_reference("hub://Docked"), refresh=True)


def test_a_certificate_of_another_ca_is_refused(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_HUB_CA", str(other_ca(at_home)))
    with pytest.raises(HubError, match=r"certificate is not trusted.*DURE_HUB_CA"):
        fetch("hub://Shout")
    monkeypatch.setenv("DURE_HUB_CA", str(at_home / "none.crt"))
    with pytest.raises(HubError, match=r"none\.crt is no PEM file"):
        fetch("hub://Shout")


def test_the_own_ca_counts_whatever_the_environment_says_of_others(
    at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(at_home, "Trusted")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other_ca(at_home)))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert fetch("hub://Trusted").exists()


def test_without_tls_only_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry", PLAIN="1") as site:
        settle(site, tmp_path, monkeypatch)
        monkeypatch.delenv("DURE_HUB_CA")
        push(tmp_path, "Plain")
        assert fetch("hub://Plain").exists()
        # Any name but localhost's would do; this one is resolved by nobody but the test.
        monkeypatch.setattr("dure.hub.connection.is_loopback", lambda host: False)
        with pytest.raises(HubError, match=r"does not speak TLS.*this machine only"):
            fetch("hub://Plain:other")


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_what_was_changed_in_the_registry_is_refused(site: Site, at_home: Path, part: str) -> None:
    digest = push(at_home, f"Changed{part.title()}", text=part)
    config, layer = source_of(read_manifest(site.file(digest).read_bytes(), part), part)
    file = site.file({"layer": layer.digest, "config": config.digest, "manifest": digest}[part])
    data = file.read_bytes()
    changed = data.replace(b"loud", b"soft") if part != "layer" else data[:-1] + bytes([data[-1] ^ 1])
    assert changed != data
    file.write_bytes(changed)

    with pytest.raises(HubError, match=r"its digest is sha256:.*changed or damaged"):
        fetch(f"hub://Changed{part.title()}")
    assert not list((at_home / "cache" / "hub").glob("sha256/*"))
    assert not list((at_home / "cache" / "hub").glob("work/*/"))


def test_a_truncated_layer_is_refused(site: Site, at_home: Path) -> None:
    layer = layer_of(site, "Short", push(at_home, "Short", text="short"))
    os.truncate(site.file(layer.digest), layer.size - 100)
    with pytest.raises(HubError, match=f"is truncated: .* of {layer.size:,} bytes"):
        fetch("hub://Short")


def test_a_full_disk_is_told(site: Site, at_home: Path) -> None:
    layer = layer_of(site, "Full", push(at_home, "Full", text="full"))
    told = pytest.raises(HubError, match="/dev/full: cannot be written: No space left")
    with Registry(site.host) as hub, Path("/dev/full").open("wb", buffering=0) as full, told:
        hub.download("team/full/source", layer, full)


def test_an_answer_that_breaks_off_is_an_error(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002  # the library's own name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Breaks) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("DURE_HUB", f"127.0.0.1:{server.server_port}")
        with pytest.raises(HubError, match="broke off"):
            fetch("hub://Shout")
        server.shutdown()


def test_what_is_not_there_is_said_with_what_is_like_it(at_home: Path) -> None:
    push(at_home, "Present", "1.0", "1.1")
    with pytest.raises(HubError, match=r"team/present: there is no bundle '1\.2'\. There are: 1\.1, 1\.0"):
        fetch("hub://Present:1.2")
    with pytest.raises(HubError, match=r"has no bundle 'team/presint'\. Did you mean: team/present"):
        fetch("hub://Presint")
    with pytest.raises(HubError, match=rf"there is no bundle 'sha256:{'0' * 64}'"):
        fetch(f"hub://Present@sha256:{'0' * 64}")
    with pytest.raises(HubError, match="is an image"):
        fetch("hub+docker://Present/gpu")


def test_what_others_pushed_is_no_bundle(site: Site, at_home: Path) -> None:
    with Registry(site.host) as hub:
        blob = Descriptor(media_type="text/plain", digest=digest_of(b"hello"), size=5)
        hub.upload("team/foreign/source", blob, b"hello")
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
        manifest["config"] = msgspec.to_builtins(blob)
        data = json.dumps(manifest).encode()
        hub.put_manifest("team/foreign/source", "latest", data, "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(HubError, match=r"is no bundle of dure.*text/plain is there"):
        fetch("hub://Foreign")


def test_an_evil_archive_is_not_unpacked(site: Site, at_home: Path) -> None:
    manifest = read_manifest(site.file(push(at_home, "Evil")).read_bytes(), "Evil")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("config.yml"))
        archive.addfile(tarfile.TarInfo("../../../escaped"))
    data = gzip.compress(tar.getvalue())
    layer = Descriptor(media_type=manifest.layers[0].media_type, digest=digest_of(data), size=len(data))
    with Registry(site.host) as hub:
        hub.upload("team/evil/source", layer, data)
        evil = write_record(msgspec.structs.replace(manifest, layers=[layer]))
        hub.put_manifest("team/evil/source", "evil", evil, manifest.media_type)
    with pytest.raises(HubError, match=r"is not used: The member '\.\./\.\./\.\./escaped' leads out of its folder"):
        fetch("hub://Evil:evil")
    assert not list(at_home.rglob("escaped"))


def _fetch(reference: str) -> str:
    return str(fetch(reference))


def test_several_processes_fetch_it_once(site: Site, at_home: Path) -> None:
    layer = layer_of(site, "Crowd", push(at_home, "Crowd", text="crowd"))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        folders = pool.map(_fetch, ["hub://Crowd"] * 8)
    assert len(set(folders)) == 1
    assert site.log().count(f'"GET /v2/team/crowd/source/blobs/{layer.digest}') == 1


def test_another_client_of_registries_reads_what_we_push(site: Site, at_home: Path) -> None:
    oras = pytest.importorskip("oras.client", reason="oras is not installed")
    digest = push(at_home, "Shared", "1.0")
    client = oras.OrasClient(hostname=site.host, tls_verify=str(site.folder / "ca.crt"), auth_backend="basic")
    client.auth.set_basic_auth(USER, PASSWORD)
    [file] = client.pull(target=f"{site.host}/team/shared/source:1.0", outdir=str(at_home / "pulled"))
    assert digest_of(Path(file).read_bytes()) == layer_of(site, "Shared", digest).digest


def test_tokens_are_asked_for_where_the_registry_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    asked: list[tuple[str, str]] = []

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            asked.append((query["scope"][0], self.headers["Authorization"]))
            known = self.headers["Authorization"] == f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"token": token(folder, query["scope"][0])}).encode() if known else b"{}")

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002  # the library's own name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as server:
        threading.Thread(target=server.serve_forever).start()
        with registry(folder, REALM=f"http://127.0.0.1:{server.server_port}/token") as site:
            settle(site, tmp_path, monkeypatch)
            push(tmp_path, "Token")
            assert fetch("hub://Token").exists()
            monkeypatch.setenv("DURE_HUB_PASSWORD", "guess")
            with pytest.raises(HubError, match="refuses the user"):
                retrieve(parse_reference("hub://Token"), refresh=True)
        server.shutdown()
    scopes = {scope for scope, _ in asked}
    assert "repository:team/token/source:pull" in scopes
    assert any("push" in scope for scope in scopes)


def token(folder: Path, scope: str) -> str:
    """Make a token as the registry's own specification has it, signed by its certificate."""
    key = serialization.load_pem_private_key((folder / "tls.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    kind, name, actions = scope.split(":")
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "tests",
        "aud": "registry",
        "sub": USER,
        "jti": str(now),
        "nbf": now - 60,
        "exp": now + 300,
        "iat": now,
        "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
    }
    parts = ({"typ": "JWT", "alg": "ES256", "x5c": [chain]}, claims)
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    signature = base64.urlsafe_b64encode(r.to_bytes(32) + s.to_bytes(32)).rstrip(b"=")
    return f"{text.decode()}.{signature.decode()}"
