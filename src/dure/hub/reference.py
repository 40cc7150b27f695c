"""What people write to name a shared Executor, `hub://team/SentenceEncoder:1.0`, and what a registry calls it.

Pure: asks nobody. Knows how names, tags and digests are written; does not know what is behind them.
"""

import os
import re
from dataclasses import dataclass, replace
from functools import cache

from dure.errors import HubError, SpecError
from dure.log import get_logger

SCHEMES = {"hub": False, "hub+docker": True, "jinahub": False, "jinahub+docker": True}
"""How a reference begins -> whether it names an image."""

SOURCE = "source"
"""The repository of a bundle stands below the name that its image would have."""

_HOST = re.compile(
    r"(?:localhost|\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLE = (
    "hub://SentenceEncoder, hub://team/SentenceEncoder:1.0 or hub+docker://registry.example/team/SentenceEncoder/gpu"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A shared Executor by name.

    Args:
        name: As it was written: `SentenceEncoder`, or `sentence-encoder`.
        registry: `host[:port]`; empty: the one of DURE_HUB is meant.
        namespace: What stands before the name, e.g. `team`; may be empty.
        tag: Version or variant; `latest` if neither it nor a digest was given.
        digest: `sha256:…` of the manifest; it decides alone where it is given. Empty if not.
        is_image: Whether the container image is meant rather than the source.
    """

    name: str
    registry: str = ""
    namespace: str = ""
    tag: str = "latest"
    digest: str = ""
    is_image: bool = False

    @property
    def path(self) -> str:
        """Namespace and name as registries have them: `team/sentence-encoder`."""
        return "/".join(part for part in (self.namespace, repository_name(self.name)) if part)

    @property
    def repository(self) -> str:
        """The repository in the registry: of the image, or of the source below it."""
        return self.path if self.is_image else f"{self.path}/{SOURCE}"

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag

    def resolved(self, hub: str | None = None) -> "Reference":
        """Fill in registry and namespace.

        Args:
            hub: `host[:port][/namespace]`; the environment variable DURE_HUB if not given.

        Raises:
            HubError: Neither the reference nor `hub` names a registry.
            SpecError: `hub` is none.
        """
        if self.registry:
            return self
        registry, namespace = parse_hub(os.environ.get("DURE_HUB", "") if hub is None else hub)
        if not registry:
            raise HubError(
                f"{self}: no registry is named, and there is no default one. Say which: export"
                f" DURE_HUB=registry.example:5000/team, or write hub://registry.example:5000/{self.path}"
            )
        # As Docker's `library`: the hub's namespace is for names that come without one.
        return replace(self, registry=registry, namespace=self.namespace or namespace)

    def image_name(self, hub: str | None = None) -> str:
        """The image's name for Docker, `localhost:5000/team/sentence-encoder:gpu`.

        Without any registry it is the name that such an image has on this machine, `sentence-encoder:gpu`, which must
        never be pulled: Docker would ask its own registry.

        Args:
            hub: As in `resolved`.
        """
        known = self
        if not self.registry and (os.environ.get("DURE_HUB") if hub is None else hub):
            known = self.resolved(hub)
        name = "/".join(part for part in (known.registry, known.path) if part)
        return f"{name}@{known.digest}" if known.digest else f"{name}:{known.tag}"

    def __str__(self) -> str:
        scheme = "hub+docker" if self.is_image else "hub"
        name = "/".join(part for part in (self.registry, self.namespace, self.name) if part)
        return f"{scheme}://{name}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


def repository_name(name: str) -> str:
    """Return what a repository for this class is called: `sentence-encoder` for `SentenceEncoder`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def is_reference(text: object) -> bool:
    """Whether `uses` names something of the hub, well or badly."""
    return isinstance(text, str) and text.partition("://")[0] in SCHEMES and "://" in text


def parse_reference(text: str) -> Reference:
    """Read `hub://[HOST[:PORT]/][NAMESPACE/]Name[:tag][@sha256:…]`; `hub+docker://` names the image.

    A tag may be written `Name/tag` as well, after a name in CamelCase. `jinahub://` and `jinahub+docker://` are read
    likewise, with a notice in the log.

    Raises:
        SpecError: It is no such reference; the message says where it goes wrong.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme not in SCHEMES:
        raise SpecError(
            f"{text!r} does not begin with {', '.join(f'{known}://' for known in SCHEMES)}: e.g. {_EXAMPLE}"
        )
    rest, pinned, digest = rest.partition("@")
    if pinned and not _DIGEST.fullmatch(digest):
        raise SpecError(f"{text!r}: {digest!r} is no digest: it is written @sha256: and 64 of 0-9 and a-f")
    parts = rest.split("/")
    registry = _take_registry(parts, text)
    name, tag = _take_name(parts, text, jina=scheme.startswith("jina"))
    for part in parts:
        if not _PART.fullmatch(part):
            raise SpecError(
                f"{text!r}: {part!r} cannot stand before a name: registries take a-z, 0-9 and single . _ - between them"
            )
    if scheme.startswith("jina"):
        _notice(scheme)
    return Reference(
        name=name,
        registry=registry,
        namespace="/".join(parts),
        tag=tag or "latest",
        digest=digest,
        is_image=SCHEMES[scheme],
    )


def parse_hub(text: str) -> tuple[str, str]:
    """Read `host[:port][/namespace]`, the form of DURE_HUB: registry and namespace, both empty for an empty text.

    Raises:
        SpecError: It is something else.
    """
    if not text:
        return "", ""
    registry, _, namespace = text.rstrip("/").partition("/")
    parts = namespace.split("/") if namespace else []
    if not _is_host(registry) or not all(_PART.fullmatch(part) for part in parts):
        raise SpecError(f"DURE_HUB: {text!r} is not HOST[:PORT][/NAMESPACE], e.g. registry.example:5000/team")
    return registry, namespace


def _take_registry(parts: list[str], text: str) -> str:
    """Take the host off the front, by Docker's rule: it has a dot or a port, or is localhost."""
    first = parts[0]
    if len(parts) < 2 or _CLASS.match(first) or not _looks_like_host(first):
        return ""
    if not _is_host(first):
        raise SpecError(f"{text!r}: {first!r} is no HOST[:PORT] of a registry")
    return parts.pop(0)


def _take_name(parts: list[str], text: str, *, jina: bool) -> tuple[str, str]:
    """Take name and tag off the end; the tag is empty if there is none."""
    slash_tag = parts.pop() if len(parts) > 1 and _CLASS.fullmatch(parts[-2].partition(":")[0]) else None
    name, colon, colon_tag = parts.pop().partition(":")
    if colon and jina:
        raise SpecError(
            f"{text!r}: NAME:SECRET was for Jina's own hub. A registry has accounts (docker login); a tag is written"
            f" {name}/tag here, or hub://{name}:tag"
        )
    if colon and slash_tag is not None:
        raise SpecError(f"{text!r} has two tags, {colon_tag!r} and {slash_tag!r}: leave one out")
    if not _CLASS.fullmatch(name) and not _PART.fullmatch(name):
        raise SpecError(
            f"{text!r}: {name!r} is no Executor's name: CamelCase (SentenceEncoder), or as a registry has it"
            f" (sentence-encoder). For example: {_EXAMPLE}"
        )
    tag = colon_tag if colon else slash_tag
    if tag is not None and not _TAG.fullmatch(tag):
        raise SpecError(f"{text!r}: {tag!r} is no tag: letters, digits, _ . and -, at most 128, no . or - first")
    return name, tag or ""


def _looks_like_host(text: str) -> bool:
    return text == "localhost" or bool({".", ":"} & set(text))


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return _looks_like_host(text) and match is not None and (match["port"] is None or 0 < int(match["port"]) < 65536)


@cache
def _notice(scheme: str) -> None:
    """Say it once for each scheme."""
    get_logger("hub").warning(
        "%s:// is read as %s://, from the registry of DURE_HUB: Jina's own hub is gone", scheme, scheme[4:]
    )
