"""Signatures as cosign 2 specifies them for key pairs: made, read and verified.

Knows keys and bytes; fetches nothing. Certificates without keys, and transparency logs, are not for machines offline.
Source: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from dure.deps import require
from dure.errors import HubError
from dure.hub.artifact import MANIFEST_TYPE, Descriptor, Manifest, digest_of

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
MAX_PAYLOAD_BYTES = 2**20
MAX_SIGNATURES = 64
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_KIND = "cosign container image signature"
_MAKE = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"


class Signature(Struct, frozen=True):
    """What was signed, and the signature over it.

    Args:
        payload: JSON that names a digest.
        signature: Over the payload's bytes: ECDSA in DER, or Ed25519.
    """

    payload: bytes
    signature: bytes


def signature_tag(digest: str) -> str:
    """Return the tag under which the signatures of a digest stand, in the same repository."""
    return f"{digest.replace(':', '-')}.sig"


def sign(digest: str, name: str, key: Path) -> Signature:
    """Sign a digest.

    Args:
        digest: `sha256:…` of a manifest.
        name: `host/repository` of what is signed.
        key: A private key, PEM; its password is in DURE_HUB_KEY_PASSWORD if it has one.

    Raises:
        HubError: The key cannot be used.
    """
    payload = {
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest},
            "type": _KIND,
        },
        "optional": None,
    }
    data = json.dumps(payload, separators=(",", ":")).encode()
    private = _private_key(key)
    if _is(private, "ed25519", "Ed25519PrivateKey"):
        return Signature(data, private.sign(data))
    return Signature(data, private.sign(data, _ecdsa()))


def verify(signatures: Iterable[Signature], digest: str, key: Path, what: str) -> None:
    """Let pass what one of the signatures is good for.

    Args:
        signatures: All that there are.
        digest: Of the manifest that they must name.
        key: A public key, PEM.
        what: For the message.

    Raises:
        HubError: There is none, or none is good under this key for this digest.
    """
    public = _public_key(key)
    found = 0
    for one in signatures:
        found += 1
        if _names(one.payload, digest) and _is_good(public, one):
            return
    if not found:
        raise HubError(
            f"{what} is not signed, and {key} was given to verify it: not used. Whoever pushed it can sign it (dure hub"
            " push --sign-key); or leave the key out"
        )
    raise HubError(
        f"{what}: none of its {found} signature{'s' * (found > 1)} was made for it by the owner of {key}: not used. It"
        " was signed by somebody else, or is not what was signed"
    )


def of_others(signatures: Iterable[Signature], key: Path) -> list[Signature]:
    """Return those that the owner of a private key did not make.

    Raises:
        HubError: The key cannot be used.
    """
    public = _private_key(key).public_key()
    return [one for one in signatures if not _is_good(public, one)]


def check_public_key(key: Path) -> None:
    """Look whether a public key can be used.

    Raises:
        HubError: It cannot.
    """
    _public_key(key)


def check_private_key(key: Path) -> None:
    """Look whether a private key can be used.

    Raises:
        HubError: It cannot.
    """
    _private_key(key)


def signature_manifest(signatures: Iterable[Signature]) -> tuple[Manifest, bytes]:
    """Return the manifest of signatures, and the bytes of its config; the payloads are its layers."""
    layers = [
        Descriptor(
            media_type=PAYLOAD_TYPE,
            digest=digest_of(one.payload),
            size=len(one.payload),
            annotations={ANNOTATION: base64.b64encode(one.signature).decode()},
        )
        for one in signatures
    ]
    config = json.dumps(
        {
            "architecture": "",
            "config": {},
            "history": [],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
        separators=(",", ":"),
    ).encode()
    about = Descriptor(media_type=_CONFIG_TYPE, digest=digest_of(config), size=len(config))
    return Manifest(media_type=MANIFEST_TYPE, config=about, layers=layers), config


def signature_of(layer: Descriptor, payload: bytes) -> Signature | None:
    """Return the signature that a layer of such a manifest holds, if it holds one."""
    try:
        return Signature(payload, base64.b64decode(layer.annotations[ANNOTATION], validate=True))
    except (KeyError, binascii.Error):
        return None


def _names(payload: bytes, digest: str) -> bool:
    try:
        critical = json.loads(payload)["critical"]
        return bool(critical["type"] == _KIND and critical["image"]["docker-manifest-digest"] == digest)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_good(public: Any, one: Signature) -> bool:
    invalid = require("cryptography.exceptions", "hub").InvalidSignature
    try:
        if _is(public, "ed25519", "Ed25519PublicKey"):
            public.verify(one.signature, one.payload)
        else:
            public.verify(one.signature, one.payload, _ecdsa())
    except invalid:
        return False
    return True


def _ecdsa() -> Any:
    hashes = require("cryptography.hazmat.primitives.hashes", "hub")
    return require("cryptography.hazmat.primitives.asymmetric.ec", "hub").ECDSA(hashes.SHA256())


def _is(key: Any, module: str, kind: str) -> bool:
    return isinstance(key, getattr(require(f"cryptography.hazmat.primitives.asymmetric.{module}", "hub"), kind))


def _private_key(path: Path) -> Any:
    data = _read(path)
    if b"ENCRYPTED SIGSTORE" in data or b"ENCRYPTED COSIGN" in data:
        raise HubError(
            f"{path} is encrypted in cosign's own way, which only cosign reads: sign with cosign sign --key {path}; or"
            f" make a key that both read: {_MAKE}, and cosign import-key-pair --key key.pem"
        )
    password = os.environ.get("DURE_HUB_KEY_PASSWORD")
    serialization = require("cryptography.hazmat.primitives.serialization", "hub")
    unsupported = require("cryptography.exceptions", "hub").UnsupportedAlgorithm
    try:
        key = serialization.load_pem_private_key(data, password.encode() if password else None)
    except (ValueError, TypeError, unsupported) as error:
        raise HubError(
            f"{path} cannot be used as a private key: {error}. Its password, if it has one, goes into"
            f" DURE_HUB_KEY_PASSWORD. A new key: {_MAKE}"
        ) from error
    return _checked(key, path, "PrivateKey")


def _public_key(path: Path) -> Any:
    serialization = require("cryptography.hazmat.primitives.serialization", "hub")
    unsupported = require("cryptography.exceptions", "hub").UnsupportedAlgorithm
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, TypeError, unsupported) as error:
        raise HubError(
            f"{path} is no public key in PEM (openssl pkey -in key.pem -pubout -out key.pub, or cosign.pub): {error}"
        ) from error
    return _checked(key, path, "PublicKey")


def _checked(key: Any, path: Path, kind: str) -> Any:
    is_p256 = _is(key, "ec", f"EllipticCurve{kind}") and key.curve.name == "secp256r1"
    if not is_p256 and not _is(key, "ed25519", f"Ed25519{kind}"):
        raise HubError(f"{path}: the key is neither ECDSA P-256 nor Ed25519. A new one: {_MAKE}")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HubError(f"{path}: cannot be read: {error.strerror or error}") from error
