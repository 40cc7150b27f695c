"""What is known of one bundle or image before it is used: size, digest, who signed it, and what it says of itself.

Looks into the registry, or into the cache where no registry may be asked. Runs nothing.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from dure.errors import HubError
from dure.hub.artifact import MAX_CONFIG_BYTES, BundleConfig, read_config, read_manifest, source_of
from dure.hub.bundle import bundle_diff_id
from dure.hub.catalog import labels_of, visible
from dure.hub.reference import Reference
from dure.hub.registry import Found, Registry
from dure.hub.retrieval import key_of_environment, read_signatures
from dure.hub.signature import Signature, check_public_key, verify
from dure.hub.store import Entry, Store
from dure.offline import is_offline


class Inspection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a bundle or an image.

    Args:
        reference: With registry and tag.
        kind: `bundle` or `image`.
        digest: `sha256:…` of the manifest: what a pin is written with.
        size_bytes: Of what is fetched.
        signature: Whether it is signed, and by whom as far as is known.
        tags: In the registry; empty if it was not asked.
        annotations: Of the manifest, and labels of an image.
        bundle: What a bundle says of itself.
        cache: Where it lies on this machine, and whether it was changed there.
    """

    reference: str
    kind: str
    digest: str
    size_bytes: int
    signature: str
    tags: list[str] = []
    annotations: dict[str, str] = {}
    bundle: BundleConfig | None = None
    cache: str = ""


def inspect(reference: Reference, *, key: Path | None = None) -> Inspection:
    """Look at a bundle or an image.

    Args:
        reference: To it.
        key: Public key to verify it with; DURE_HUB_KEY's if not given.

    Raises:
        HubError: It is not there, or the key is none.
    """
    known, key, store = reference.resolved(), key or key_of_environment(), Store()
    if key is not None:
        check_public_key(key)
    if is_offline():
        entry = None if known.is_image else store.find(known)
        if entry is None:
            raise HubError(
                f"{known} is not in the cache ({store.root}), and DURE_OFFLINE says that no registry is asked"
            )
        signature = _said(entry.signatures, entry.digest, key, known)
        return _of_bundle(known, Found(entry.manifest, entry.digest), entry.config, signature, entry)
    with Registry(known.registry) as registry:
        return _of_registry(registry, known, store, key)


def _of_registry(registry: Registry, known: Reference, store: Store, key: Path | None) -> Inspection:
    found = registry.manifest(known.repository, known.version)
    manifest = read_manifest(found.data, str(known))
    tags = visible(registry.tags(known.repository))
    signatures = read_signatures(registry, known.repository, found.digest)
    if known.is_image:
        return Inspection(
            reference=str(known),
            kind="image",
            digest=found.digest,
            size_bytes=sum(layer.size for layer in manifest.layers),
            signature=_said(signatures, found.digest, key, known),
            tags=tags,
            annotations=labels_of(registry, known.repository, manifest),
        )
    described, _ = source_of(manifest, str(known))
    config = read_config(registry.read_blob(known.repository, described, MAX_CONFIG_BYTES), str(known))
    signature = _said(signatures, found.digest, key, known)
    bundle = _of_bundle(known, found, config, signature, store.entry(found.digest))
    return msgspec.structs.replace(bundle, tags=tags)


def _of_bundle(known: Reference, found: Found, config: BundleConfig, signature: str, entry: Entry | None) -> Inspection:
    manifest = read_manifest(found.data, str(known))
    return Inspection(
        reference=str(known),
        kind="bundle",
        digest=found.digest,
        size_bytes=source_of(manifest, str(known))[1].size,
        signature=signature,
        annotations=manifest.annotations,
        bundle=config,
        cache=_cached(entry, config),
    )


def _said(signatures: list[Signature], digest: str, key: Path | None, known: Reference) -> str:
    if not signatures:
        return "unsigned"
    if key is None:
        return "signed; by whom was not verified, since no key was given"
    try:
        verify(signatures, digest, key, str(known))
    except HubError:
        return f"signed, but not by the owner of {key}"
    return f"verified: signed by the owner of {key}"


def _cached(entry: Entry | None, config: BundleConfig) -> str:
    if entry is None:
        return ""
    try:
        changed = bundle_diff_id(entry.folder) != config.diff_id
    except HubError:
        changed = True
    return f"{entry.folder}{' (its files were changed there: remove it, and pull again)' if changed else ''}"
