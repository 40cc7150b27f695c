"""What a registry keeps of a bundle: a manifest, a config and one layer, as OCI's image specification has artifacts.

Pure: bytes to records and back. Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md
"""

import hashlib
import re
from typing import TypeVar

import msgspec
from msgspec import Struct

from dure.errors import HubError

R = TypeVar("R", bound=Struct)

BUNDLE_TYPE = "application/vnd.dure.bundle.v1+json"
"""The media type of a bundle's config, and the type of the whole artifact."""

SOURCE_TYPE = "application/vnd.dure.bundle.source.v1.tar+gzip"
"""The media type of a bundle's layer."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

OCI = "org.opencontainers.image"
"""How OCI's annotations begin: `.title`, `.description`, …"""

KEYWORDS = "dev.dure.keywords"
"""The annotation that holds keywords, separated by commas."""

IMAGE_TYPES = (
    MANIFEST_TYPE,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Media types of what may stand under a tag."""

MAX_MANIFEST_BYTES = 4 * 2**20
MAX_CONFIG_BYTES = 8 * 2**20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Descriptor(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A blob by what it is, its digest and its bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}


class Manifest(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing in a registry; an index of images has neither config nor layers."""

    schema_version: int = msgspec.field(default_factory=lambda: 2)
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] = []
    annotations: dict[str, str] = {}


class BundleConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of a bundle, and read without unpacking it.

    Args:
        name: Class of the Executor.
        dure: Version of dure that packed it.
        diff_id: `sha256:…` of the files as a tar.
        num_files: How many files there are.
        unpacked_bytes: Their bytes.
        description: One line for people.
        keywords: For those who search.
        url: Home page of the source.
        version: As `manifest.yml` has it.
        config_yml: The text of `config.yml`.
        manifest_yml: The text of `manifest.yml`.
    """

    name: str
    dure: str
    diff_id: str
    num_files: int
    unpacked_bytes: int
    description: str = ""
    keywords: list[str] = []
    url: str = ""
    version: str = ""
    config_yml: str = ""
    manifest_yml: str = ""


def digest_of(data: bytes) -> str:
    """Return `sha256:…` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def check_digest(data: bytes, digest: str, what: str) -> bytes:
    """Return the bytes if they have the digest.

    Raises:
        HubError: They have another one.
    """
    found = digest_of(data)
    if found != digest:
        raise HubError(
            f"{what}: its digest is {found}, and {digest} was expected. It was changed or damaged in the registry or on"
            " the way, and is not used. Ask whoever runs the registry, or push it again"
        )
    return data


def write_record(record: Struct) -> bytes:
    """Return a record as JSON; the same bytes for the same values."""
    return msgspec.json.encode(record, order="sorted")


def read_manifest(data: bytes, what: str) -> Manifest:
    """Read what stands under a tag.

    Raises:
        HubError: It is no manifest.
    """
    manifest = _read(data, Manifest, what)
    for blob in (*manifest.layers, *([manifest.config] if manifest.config else [])):
        # What is read by it goes into addresses and into names of folders.
        if not _DIGEST.fullmatch(blob.digest) or blob.size < 0:
            raise HubError(
                f"{what}: its manifest names {blob.digest!r} of {blob.size} bytes, which is no sha256 digest"
            )
    return manifest


def read_config(data: bytes, what: str) -> BundleConfig:
    """Read what is said of a bundle.

    Raises:
        HubError: It is something else.
    """
    return _read(data, BundleConfig, what)


def _read(data: bytes, kind: type[R], what: str) -> R:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HubError(f"{what}: the registry's answer is no {kind.__name__}: {error}") from error


def source_of(manifest: Manifest, what: str) -> tuple[Descriptor, Descriptor]:
    """Return config and layer of a bundle's manifest.

    Raises:
        HubError: It is no bundle, or one of a newer kind.
    """
    config, layers = manifest.config, manifest.layers
    if config is None or config.media_type != BUNDLE_TYPE:
        found = manifest.artifact_type or (config.media_type if config else manifest.media_type) or "nothing"
        raise HubError(f"{what} is no bundle of dure: {BUNDLE_TYPE} was expected, and {found} is there")
    if [layer.media_type for layer in layers] != [SOURCE_TYPE]:
        found = ", ".join(layer.media_type for layer in layers) or "nothing"
        raise HubError(f"{what} was made by another version of dure: one layer {SOURCE_TYPE} expected, {found} found")
    return config, layers[0]
