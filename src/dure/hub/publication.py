"""From a bundle's folder into a registry: packed, described, pushed under its tags, signed.

Knows which parts there are and in which order a registry takes them; does not know how any of them is written.
"""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from dure.errors import HubError
from dure.hub.artifact import (
    BUNDLE_TYPE,
    KEYWORDS,
    MANIFEST_TYPE,
    OCI,
    SOURCE_TYPE,
    BundleConfig,
    Descriptor,
    Manifest,
    digest_of,
    write_record,
)
from dure.hub.bundle import pack_bundle
from dure.hub.reference import Reference
from dure.hub.registry import Registry
from dure.hub.retrieval import read_signatures
from dure.hub.signature import check_private_key, of_others, sign, signature_manifest, signature_tag
from dure.offline import is_offline


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was pushed.

    Args:
        reference: With the digest of its manifest.
        tags: Under which it stands.
        size: Bytes of its layer.
        config: What is said of it.
        left_out: What of the folder was not packed.
        signed: Whether it was signed.
    """

    reference: Reference
    tags: list[str]
    size: int
    config: BundleConfig
    left_out: list[str]
    signed: bool


def publish(folder: Path, reference: Reference, *, tags: Iterable[str] = (), sign_key: Path | None = None) -> Published:
    """Push a bundle.

    Args:
        folder: Of the bundle.
        reference: Where to; its tag counts if no others are given.
        tags: All tags it shall have.
        sign_key: Private key to sign it with.

    Raises:
        HubError: It is no bundle, cannot be shared as it is, or the registry does not take it.
    """
    _check_online()
    known = reference.resolved()
    if sign_key is not None:
        check_private_key(sign_key)  # before anything is pushed that would then stay unsigned
    all_tags = list(dict.fromkeys(tags)) or [known.tag]
    with tempfile.TemporaryFile() as file:
        config, packed, left_out = pack_bundle(folder, cast("BinaryIO", file))
        layer = Descriptor(media_type=SOURCE_TYPE, digest=packed.digest, size=packed.size)
        about = write_record(config)
        described = Descriptor(media_type=BUNDLE_TYPE, digest=digest_of(about), size=len(about))
        manifest = write_record(
            Manifest(
                media_type=MANIFEST_TYPE,
                artifact_type=BUNDLE_TYPE,
                config=described,
                layers=[layer],
                annotations=_annotations(config, all_tags[0]),
            )
        )
        with Registry(known.registry) as registry:
            file.seek(0)
            registry.upload(known.repository, layer, cast("BinaryIO", file))
            registry.upload(known.repository, described, about)
            digest = registry.put_manifest(known.repository, digest_of(manifest), manifest, MANIFEST_TYPE)
            if sign_key is not None:
                _sign(registry, known.repository, digest, sign_key)
            for tag in all_tags:
                registry.put_manifest(known.repository, tag, manifest, MANIFEST_TYPE)
    return Published(
        reference=replace(known, tag=all_tags[0], digest=digest),
        tags=all_tags,
        size=packed.size,
        config=config,
        left_out=left_out,
        signed=sign_key is not None,
    )


def sign_pushed(reference: Reference, sign_key: Path) -> str:
    """Sign what stands in a registry under a reference, an image for example; return its digest.

    Raises:
        HubError: It is not there, the key cannot be used, or the registry does not take the signature.
    """
    _check_online()
    known = reference.resolved()
    with Registry(known.registry) as registry:
        digest = registry.manifest(known.repository, known.version).digest
        _sign(registry, known.repository, digest, sign_key)
    return digest


def _sign(registry: Registry, repository: str, digest: str, sign_key: Path) -> None:
    """Put a signature beside those of others."""
    others = of_others(read_signatures(registry, repository, digest), sign_key)
    signatures = [*others, sign(digest, f"{registry.name}/{repository}", sign_key)]
    manifest, config = signature_manifest(signatures)
    if manifest.config is not None:
        registry.upload(repository, manifest.config, config)
    for layer, one in zip(manifest.layers, signatures, strict=True):
        registry.upload(repository, layer, one.payload)
    registry.put_manifest(repository, signature_tag(digest), write_record(manifest), MANIFEST_TYPE)


def _annotations(config: BundleConfig, tag: str) -> dict[str, str]:
    made = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        when = datetime.fromtimestamp(int(made), UTC) if made else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise HubError(f"SOURCE_DATE_EPOCH: {made!r} is no time in seconds") from error
    told = {
        f"{OCI}.title": config.name,
        f"{OCI}.description": config.description,
        f"{OCI}.version": config.version or tag,
        f"{OCI}.source": config.url,
        f"{OCI}.created": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        KEYWORDS: ",".join(config.keywords),
    }
    return {name: value for name, value in told.items() if value}


def _check_online() -> None:
    if is_offline():
        raise HubError("DURE_OFFLINE says that no registry is asked, and pushing asks one: unset it")
