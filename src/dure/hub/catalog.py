"""What a registry holds: Executors by name, with their tags and with what is said of them. Unpacks and runs nothing.

Reads names from the registry's own catalogue, and what is said from annotations of bundles and labels of images.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from dure.errors import HubError
from dure.hub.artifact import KEYWORDS, MAX_CONFIG_BYTES, OCI, Manifest, read_manifest
from dure.hub.reference import SOURCE, Reference, parse_hub
from dure.hub.registry import Registry
from dure.log import get_logger
from dure.offline import is_offline


class Listed(Struct, frozen=True, kw_only=True):
    """An Executor in a registry.

    Args:
        name: As one writes it after hub://, with its namespace.
        kind: `bundle` or `image`.
        tags: All of them, but those that hold signatures.
        description: One line for people; known after a search only.
        keywords: For those who search; known after a search only.
    """

    name: str
    kind: str
    tags: list[str]
    description: str = ""
    keywords: list[str] = []


def list_executors(hub: str) -> list[Listed]:
    """Return what is in a registry, or in one namespace of it.

    Args:
        hub: `host[:port][/namespace]`.

    Raises:
        HubError: It is down, refuses the account, or does not tell what it has.
    """
    with _open(hub) as registry:
        return list(_listed(registry, parse_hub(hub)[1]))


def list_tags(reference: Reference) -> list[Listed]:
    """Return what there is under one name: a bundle, images, or both.

    Raises:
        HubError: There is nothing under that name, or the registry fails.
    """
    known = reference.resolved()
    with _open(known.registry) as registry:
        names = {f"{known.path}/{SOURCE}": "bundle", known.path: "image"}
        found = [
            Listed(name=known.path, kind=kind, tags=tags)
            for repository, kind in names.items()
            if (tags := visible(registry.tags(repository)))
        ]
        if not found:
            registry.manifest(known.repository, known.tag)  # says what is like it
    return found


def search(hub: str, words: str) -> list[Listed]:
    """Return what has every word in its name, description or keywords, whatever the case.

    Args:
        hub: `host[:port][/namespace]`.
        words: Separated by blanks.

    Raises:
        HubError: As `list_executors`.
    """
    wanted = words.casefold().split()
    with _open(hub) as registry:
        described = [_described(registry, one) for one in _listed(registry, parse_hub(hub)[1])]
    return [one for one in described if _matches(one, wanted)]


def visible(tags: list[str]) -> list[str]:
    """Return the tags that people made."""
    return [tag for tag in tags if not tag.startswith("sha256-")]


def labels_of(registry: Registry, repository: str, manifest: Manifest) -> dict[str, str]:
    """Return what is said of an image or a bundle: its annotations, over the labels that its config has."""
    labels: dict[str, str] = {}
    if manifest.config is not None and manifest.config.size <= MAX_CONFIG_BYTES:
        data = registry.read_blob(repository, manifest.config, MAX_CONFIG_BYTES)
        try:
            labels = msgspec.json.decode(data, type=_ImageConfig).config.labels or {}
        except msgspec.DecodeError:
            labels = {}
    return {**labels, **manifest.annotations}


class _Settings(Struct, frozen=True):
    labels: dict[str, str] | None = msgspec.field(default=None, name="Labels")


class _ImageConfig(Struct, frozen=True):
    config: _Settings = _Settings()


def _open(hub: str) -> Registry:
    registry = parse_hub(hub)[0]
    if not registry:
        raise HubError("no registry is named: export DURE_HUB=registry.example:5000/team, or say --registry")
    if is_offline():
        raise HubError("DURE_OFFLINE says that no registry is asked. What is in the cache is used all the same")
    return Registry(registry)


def _listed(registry: Registry, namespace: str) -> Iterator[Listed]:
    for repository in registry.repositories():
        if namespace and not repository.startswith(f"{namespace}/"):
            continue
        tags = visible(registry.tags(repository))
        name = repository.removesuffix(f"/{SOURCE}")
        if tags:
            yield Listed(name=name, kind="image" if name == repository else "bundle", tags=tags)


def _described(registry: Registry, one: Listed) -> Listed:
    repository = one.name if one.kind == "image" else f"{one.name}/{SOURCE}"
    tag = "latest" if "latest" in one.tags else one.tags[-1]
    try:
        found = registry.manifest(repository, tag)
        labels = labels_of(registry, repository, read_manifest(found.data, f"{repository}:{tag}"))
    except HubError as error:
        get_logger("hub").warning("%s is found by its name only: %s", one.name, error)  # and others are found at all
        return one
    return msgspec.structs.replace(
        one,
        description=labels.get(f"{OCI}.description", ""),
        keywords=[word for word in labels.get(KEYWORDS, "").split(",") if word],
    )


def _matches(one: Listed, words: list[str]) -> bool:
    text = "\n".join((one.name, one.description, *one.keywords)).casefold()
    # `SentenceEncoder` finds sentence-encoder as well.
    return all(word in text or word in text.replace("-", "") for word in words)
