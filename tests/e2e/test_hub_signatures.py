"""Who signed what: with a key given nothing is used that it did not sign. openssl makes and verifies the same."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dure.errors import HubError
from dure.hub.artifact import MANIFEST_TYPE, Descriptor, digest_of, read_manifest, write_record
from dure.hub.inspection import inspect
from dure.hub.publication import publish, sign_pushed
from dure.hub.reference import Reference, parse_reference
from dure.hub.registry import Registry
from dure.hub.retrieval import fetch, read_signatures, retrieve, verified_digest
from dure.hub.signature import ANNOTATION, PAYLOAD_TYPE, Signature, signature_manifest, signature_tag
from tests.registry.workplace import Site, make_bundle, make_key, openssl, registry, settle


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def at_home(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle(site, tmp_path, monkeypatch)
    return tmp_path


def push(folder: Path, name: str, *, sign_key: Path | None = None) -> Reference:
    bundle = make_bundle(folder / f"{name}-{len(list(folder.iterdir()))}", name=name)
    return publish(bundle, parse_reference(f"hub://{name}"), sign_key=sign_key).reference


@pytest.mark.parametrize("kind", ["EC", "ed25519"])
def test_signed_by_the_key_is_used_and_by_another_is_not(at_home: Path, kind: str) -> None:
    private, public = make_key(at_home, kind=kind)
    _, other = make_key(at_home, "other")
    reference = push(at_home, f"Signed{kind.title()}", sign_key=private)

    with pytest.raises(HubError, match=r"none of its 1 signature .*other\.pub: not used"):
        fetch(reference, key=other)
    assert not list((at_home / "cache").rglob("executor.py"))
    assert (fetch(reference, key=public) / "executor.py").exists()
    with pytest.raises(HubError, match="none of its 1 signature"):
        fetch(reference, key=other)  # in the cache by now


def test_unsigned_is_refused_if_a_key_is_given(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = make_key(at_home)
    reference = push(at_home, "Bare")
    monkeypatch.setenv("DURE_HUB_KEY", str(public))
    with pytest.raises(HubError, match=r"is not signed, and .*not used"):
        fetch(reference)
    monkeypatch.delenv("DURE_HUB_KEY")
    folder = fetch(reference)
    with pytest.raises(HubError, match="is not signed"):
        fetch(reference, key=public)
    sign_pushed(reference, private)
    assert fetch(reference, key=public) == folder


def test_a_signature_is_kept_for_when_no_registry_can_be_asked(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = make_key(at_home)
    _, other = make_key(at_home, "other")
    reference = push(at_home, "Packed", sign_key=private)
    folder = fetch(reference)  # without a key
    monkeypatch.setenv("DURE_OFFLINE", "1")
    assert fetch(reference, key=public) == folder
    with pytest.raises(HubError, match="none of its 1 signature"):
        fetch(reference, key=other)


def test_a_signature_of_one_is_none_of_another(at_home: Path) -> None:
    private, public = make_key(at_home)
    good, bad = push(at_home, "Good", sign_key=private), push(at_home, "Bad")
    with Registry(good.registry) as hub:
        taken = hub.manifest(good.repository, signature_tag(good.digest)).data
        manifest = read_manifest(taken, "taken")
        assert manifest.config
        for blob in (manifest.config, *manifest.layers):
            hub.upload(bad.repository, blob, hub.read_blob(good.repository, blob, 2**20))
        hub.put_manifest(bad.repository, signature_tag(bad.digest), taken, MANIFEST_TYPE)
    with pytest.raises(HubError, match="none of its 1 signature"):
        fetch(bad, key=public)


def test_openssl_verifies_what_we_sign(site: Site, at_home: Path) -> None:
    private, public = make_key(at_home)
    reference = push(at_home, "Checked", sign_key=private)
    with Registry(site.host) as hub:
        found = hub.manifest(reference.repository, f"{reference.digest.replace(':', '-')}.sig")
        manifest = json.loads(found.data)
        [layer] = manifest["layers"]
        payload = hub.read_blob(reference.repository, msgspec.convert(layer, Descriptor), 2**20)
    signature = at_home / "signature"
    signature.write_bytes(base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
    said = openssl("dgst", "-sha256", "-verify", public, "-signature", signature, given=payload)
    assert said.strip() == b"Verified OK"
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    critical = json.loads(payload)["critical"]
    assert critical["image"]["docker-manifest-digest"] == reference.digest
    assert critical["identity"]["docker-reference"] == f"{site.host}/team/checked/source"
    assert critical["type"] == "cosign container image signature"


def test_we_verify_what_openssl_signs(site: Site, at_home: Path) -> None:
    private, public = make_key(at_home)
    reference = push(at_home, "Theirs")
    image = {"docker-manifest-digest": reference.digest}
    critical = {"identity": {"docker-reference": ""}, "image": image, "type": "cosign container image signature"}
    payload = json.dumps({"critical": critical, "optional": {"by": "openssl"}}).encode()
    signature = openssl("dgst", "-sha256", "-sign", private, given=payload)
    layer = Descriptor(
        media_type=PAYLOAD_TYPE,
        digest=digest_of(payload),
        size=len(payload),
        annotations={ANNOTATION: base64.b64encode(signature).decode()},
    )
    manifest, config = signature_manifest([])
    with Registry(site.host) as hub:
        assert manifest.config
        hub.upload(reference.repository, manifest.config, config)
        hub.upload(reference.repository, layer, payload)
        data = write_record(msgspec.structs.replace(manifest, layers=[layer]))
        hub.put_manifest(reference.repository, signature_tag(reference.digest), data, MANIFEST_TYPE)
    assert fetch(reference, key=public).exists()
    assert inspect(reference, key=public).signature.startswith("verified")


def test_several_sign_one_thing_and_each_key_is_good(at_home: Path) -> None:
    (first, first_public), (second, second_public) = make_key(at_home), make_key(at_home, "second", kind="ed25519")
    reference = push(at_home, "Twice", sign_key=first)
    sign_pushed(reference, second)
    sign_pushed(reference, first)  # again, in place of the one before
    with Registry(reference.registry) as hub:
        assert len(read_signatures(hub, reference.repository, reference.digest)) == 2
    for public in (first_public, second_public):
        assert retrieve(reference, key=public).digest == reference.digest
        assert verified_digest(reference, public) == reference.digest


def test_a_damaged_signature_is_none(site: Site, at_home: Path) -> None:
    private, public = make_key(at_home)
    reference = push(at_home, "Dented", sign_key=private)
    payload = json.dumps({"critical": None}).encode()
    broken = [Signature(payload, b"no signature"), Signature(b"\xff", b""), Signature(b"[" * 100_000, b"")]
    manifest, config = signature_manifest(broken)
    with Registry(site.host) as hub:
        assert manifest.config
        hub.upload(reference.repository, manifest.config, config)
        for layer, one in zip(manifest.layers, broken, strict=True):
            hub.upload(reference.repository, layer, one.payload)
        hub.put_manifest(reference.repository, signature_tag(reference.digest), write_record(manifest), MANIFEST_TYPE)
    with pytest.raises(HubError, match="none of its 3 signatures"):
        fetch(reference, key=public)


def test_keys_that_cannot_be_used_are_named_and_nothing_is_pushed(
    site: Site, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_key(at_home)
    locked = at_home / "locked.pem"
    openssl("pkey", "-in", private, "-aes-256-cbc", "-passout", "pass:word", "-out", locked)
    rsa = at_home / "rsa.pem"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa)
    cosign = at_home / "cosign.key"
    cosign.write_text("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n")
    for key, reason in (
        (at_home / "none.pem", "cannot be read"),
        (public, "cannot be used as a private key"),
        (locked, "DURE_HUB_KEY_PASSWORD"),
        (rsa, "neither ECDSA P-256 nor Ed25519"),
        (cosign, "cosign import-key-pair"),
    ):
        with pytest.raises(HubError, match=reason):
            push(at_home, "Unpushed", sign_key=key)
    with Registry(site.host) as hub:
        assert hub.tags("team/unpushed/source") == []
    with pytest.raises(HubError, match="is no public key"):
        fetch("hub://Unpushed", key=private)

    monkeypatch.setenv("DURE_HUB_KEY_PASSWORD", "word")
    assert fetch(push(at_home, "Unlocked", sign_key=locked), key=public).exists()
