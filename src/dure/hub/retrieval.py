"""From a reference to a folder on this machine: out of the cache, else from the registry, verified before unpacked.

As Docker does it: what is in the cache under a tag is used without asking. Runs nothing of what it fetches.
"""

import os
import shutil
from pathlib import Path

from dure.errors import HubError
from dure.hub.archive import unpack
from dure.hub.artifact import MAX_CONFIG_BYTES, read_config, read_manifest, source_of
from dure.hub.bundle import CONFIG
from dure.hub.reference import Reference, parse_reference
from dure.hub.registry import Found, Progress, Registry
from dure.hub.signature import (
    MAX_PAYLOAD_BYTES,
    MAX_SIGNATURES,
    PAYLOAD_TYPE,
    Signature,
    check_public_key,
    signature_of,
    signature_tag,
    verify,
)
from dure.hub.store import Entry, Store
from dure.offline import is_offline


def fetch(reference: Reference | str, *, key: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the folder of a bundle, which holds config.yml; the registry is asked only if the cache has none.

    Args:
        reference: E.g. `hub://team/SentenceEncoder:1.0`.
        key: Public key that must have signed it; the file that DURE_HUB_KEY names if not given; unverified if neither.
        progress: Is told how much of it has come.

    Raises:
        SpecError: It is no reference.
        HubError: It cannot be had, or is not what was pushed or signed.
    """
    known = parse_reference(reference) if isinstance(reference, str) else reference
    return retrieve(known, key=key, progress=progress).folder


def retrieve(
    reference: Reference, *, key: Path | None = None, refresh: bool = False, progress: Progress | None = None
) -> Entry:
    """Return what the cache has for a reference, after having fetched it if need be.

    Args:
        reference: To a bundle.
        key: As in `fetch`.
        refresh: Ask the registry what the tag means now, though the cache knows an answer.
        progress: Is told how much of it has come.

    Raises:
        HubError: As `fetch`.
    """
    if reference.is_image:
        raise HubError(f"{reference} is an image, not the source: its engine fetches it, docker pull; or write hub://")
    known, key, store = reference.resolved(), key or key_of_environment(), Store()
    if key is not None:
        check_public_key(key)
    entry = None if refresh and not known.digest else store.find(known)
    if entry is not None and (key is None or _is_verified(entry, known, key)):
        return entry
    if is_offline():
        raise HubError(
            f"{known} is not in the cache ({store.root}), and DURE_OFFLINE says that no registry is asked. On a machine"
            f" where one can be: dure hub pull '{known}', then copy that folder here"
        )
    with store.lock(known) as work:
        # Another process may have fetched it while this one waited.
        entry = None if refresh and not known.digest else store.find(known)
        if entry is not None and (key is None or _is_verified(entry, known, key)):
            return entry
        with Registry(known.registry) as registry:
            return _download(registry, known, store, work, key, progress)


def key_of_environment() -> Path | None:
    """Return the public key that DURE_HUB_KEY names."""
    name = os.environ.get("DURE_HUB_KEY")
    return Path(name) if name else None


def read_signatures(registry: Registry, repository: str, digest: str) -> list[Signature]:
    """Return the signatures that a registry has for a digest; none if there are none."""
    found = registry.find_manifest(repository, signature_tag(digest))
    if found is None:
        return []
    manifest = read_manifest(found.data, f"{registry.name}/{repository}:{signature_tag(digest)}")
    layers = [layer for layer in manifest.layers if layer.media_type == PAYLOAD_TYPE][:MAX_SIGNATURES]
    payloads = ((layer, registry.read_blob(repository, layer, MAX_PAYLOAD_BYTES)) for layer in layers)
    return [one for layer, payload in payloads if (one := signature_of(layer, payload)) is not None]


def verified_digest(reference: Reference, key: Path | None = None) -> str:
    """Return the digest that a registry has for a reference now, after having verified who signed it.

    Args:
        reference: To an image or a bundle.
        key: Public key; DURE_HUB_KEY's if not given; nothing is verified if neither.

    Raises:
        HubError: It is not there, or not signed by the owner of the key.
    """
    known, key = reference.resolved(), key or key_of_environment()
    if is_offline():
        raise HubError(f"{known}: DURE_OFFLINE says that no registry is asked")
    with Registry(known.registry) as registry:
        found = registry.manifest(known.repository, known.version)
        if key is not None:
            verify(read_signatures(registry, known.repository, found.digest), found.digest, key, str(known))
    return found.digest


def _is_verified(entry: Entry, reference: Reference, key: Path) -> bool:
    """Whether the signatures that were kept suffice; False means that the registry may have more."""
    try:
        verify(entry.signatures, entry.digest, key, str(reference))
    except HubError:
        if is_offline():
            raise
        return False
    return True


def _download(
    registry: Registry, known: Reference, store: Store, work: Path, key: Path | None, progress: Progress | None
) -> Entry:
    found = registry.manifest(known.repository, known.version)
    signatures = read_signatures(registry, known.repository, found.digest)
    if key is not None:
        verify(signatures, found.digest, key, str(known))
    entry = store.entry(found.digest)
    if entry is None:
        _unpack(registry, known, found, work, progress)
        entry = store.add(work, found.digest)
    if signatures:
        entry.keep(signatures)
    store.tag(known, found.digest)
    return entry


def _unpack(registry: Registry, known: Reference, found: Found, work: Path, progress: Progress | None) -> None:
    """Fill a folder with what the cache keeps of a bundle."""
    config, layer = source_of(read_manifest(found.data, str(known)), str(known))
    about = registry.read_blob(known.repository, config, MAX_CONFIG_BYTES)
    read_config(about, str(known))
    work.mkdir()
    archive = work / "layer.tar.gz"
    try:
        with archive.open("wb") as file:
            registry.download(known.repository, layer, file, progress)
        unpack(archive, work / "bundle")
        archive.unlink()
        if not (work / "bundle" / CONFIG).is_file():
            raise HubError(f"there is no {CONFIG} in it")
        (work / "manifest.json").write_bytes(found.data)
        (work / "config.json").write_bytes(about)
    except HubError as error:
        raise HubError(f"{known} is not used: {error}") from error
    except OSError as error:
        free = shutil.disk_usage(work).free
        raise HubError(f"{known}: {work} cannot be written: {error.strerror or error} ({free:,} bytes free)") from error
