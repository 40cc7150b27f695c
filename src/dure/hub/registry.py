"""One OCI registry: manifests, blobs, tags and repositories, read and written. Whatever is read is held to its digest.

Does not know what the blobs are. Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

from dure.errors import HubError
from dure.hub.artifact import IMAGE_TYPES, MAX_MANIFEST_BYTES, Descriptor, check_digest, digest_of
from dure.hub.connection import Connection, explanation
from dure.hub.reference import SOURCE

if TYPE_CHECKING:
    from typing import Self

    import requests

Progress = Callable[[int, int], None]
"""Is told how many bytes have come, and of how many."""

_MAX_LIST_BYTES = 16 * 2**20
_MAX_PAGES = 10_000
_PAGE = 1000
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class Found(NamedTuple):
    """A manifest as it stands in a registry: its bytes, and their digest."""

    data: bytes
    digest: str


class Registry:
    """A registry, for as long as a `with` block lasts.

    Args:
        registry: `host[:port]`.

    Raises:
        MissingDependency: The extra `hub` is not installed.
        HubError: Each method, when the registry is down, is not trusted, refuses the account, or answers nonsense.
    """

    def __init__(self, registry: str) -> None:
        self.name = registry
        self._connection = Connection(registry)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    # -- reading ----------------------------------------------------------------------------------------------------

    def find_manifest(self, repository: str, version: str) -> Found | None:
        """Return what stands under a tag or has a digest, or None.

        Args:
            repository: E.g. `team/sentence-encoder/source`.
            version: A tag, or `sha256:…`, which the bytes are then held to.
        """
        headers = {"Accept": ", ".join(IMAGE_TYPES)}
        path = f"/v2/{repository}/manifests/{version}"
        answer = self._connection.send("GET", path, repository=repository, stream=True, headers=headers)
        data = self._body(answer, MAX_MANIFEST_BYTES)
        if data is None:
            return None
        for digest in (version, answer.headers.get("Docker-Content-Digest", "")):
            if digest.startswith("sha256:"):
                check_digest(data, digest, f"{self.name}/{repository}: the manifest of {version}")
        return Found(data, digest_of(data))

    def manifest(self, repository: str, version: str) -> Found:
        """Return a manifest that must be there.

        Raises:
            HubError: It is not; the message names what is there and is like it.
        """
        found = self.find_manifest(repository, version)
        if found is None:
            raise HubError(self._missing(repository, version))
        return found

    def read_blob(self, repository: str, blob: Descriptor, max_bytes: int) -> bytes:
        """Return a small blob.

        Raises:
            HubError: It is not there, is too large, or is not what its digest says.
        """
        what = f"{self.name}/{repository}: the blob {blob.digest}"
        if blob.size > max_bytes:
            raise HubError(f"{what} is said to have {blob.size:,} bytes; {max_bytes:,} are the most")
        path = f"/v2/{repository}/blobs/{blob.digest}"
        data = self._body(self._connection.send("GET", path, repository=repository, stream=True), max_bytes)
        if data is None:
            raise HubError(f"{what} is not there, though a manifest names it: push it again")
        if len(data) < blob.size:
            raise HubError(f"{what} is truncated: {len(data):,} of {blob.size:,} bytes came. Push it again")
        return check_digest(data, blob.digest, what)

    def download(self, repository: str, blob: Descriptor, target: BinaryIO, progress: Progress | None = None) -> None:
        """Write a blob into a file, held to its size and digest; what was written so far is left there if it fails.

        Raises:
            HubError: It is not there, is truncated or too long, or is not what its digest says.
        """
        what = f"{self.name}/{repository}: the layer {blob.digest}"
        path = f"/v2/{repository}/blobs/{blob.digest}"
        answer = self._connection.send("GET", path, repository=repository, stream=True)
        if answer.status_code != 200:
            self._fail(answer, f"{what} cannot be read")
        come, digest = 0, hashlib.sha256()
        for chunk in self._connection.read(answer):
            come += len(chunk)
            if come > blob.size:
                raise HubError(f"{what} is longer than the {blob.size:,} bytes that its manifest says: not used")
            digest.update(chunk)
            _write(target, chunk)
            if progress is not None:
                progress(come, blob.size)
        if come < blob.size:
            raise HubError(f"{what} is truncated: {come:,} of {blob.size:,} bytes came. Try again, or push it again")
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise HubError(
                f"{what}: its digest is sha256:{digest.hexdigest()}. It was changed or damaged in the registry or on"
                " the way, and is not used. Ask whoever runs the registry, or push it again"
            )

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none if there is no such repository."""
        return sorted(self._list(f"/v2/{repository}/tags/list", "tags", repository))

    def repositories(self) -> list[str]:
        """Return the names of all repositories that this account may see.

        Raises:
            HubError: The registry does not tell them, as some public ones do not.
        """
        return sorted(self._list("/v2/_catalog", "repositories", ""))

    # -- writing ----------------------------------------------------------------------------------------------------

    def upload(self, repository: str, blob: Descriptor, data: bytes | BinaryIO) -> None:
        """Put a blob into a repository, unless it is there.

        Raises:
            HubError: This account may not, or the registry does not take it.
        """
        there = self._connection.send("HEAD", f"/v2/{repository}/blobs/{blob.digest}", repository=repository)
        if there.status_code == 200:
            return
        opened = self._connection.send("POST", f"/v2/{repository}/blobs/uploads/", repository=repository)
        if opened.status_code != 202 or "Location" not in opened.headers:
            self._fail(opened, f"{self.name}/{repository} takes no uploads")
        done = self._connection.send(
            "PUT",
            opened.headers["Location"],
            repository=repository,
            params={"digest": blob.digest},
            data=data,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
        )
        if done.status_code != 201:
            self._fail(done, f"{self.name}/{repository} did not take {blob.digest} ({blob.size:,} bytes)")

    def put_manifest(self, repository: str, version: str, data: bytes, media_type: str) -> str:
        """Put a manifest under a tag; return its digest."""
        path = f"/v2/{repository}/manifests/{version}"
        done = self._connection.send(
            "PUT", path, repository=repository, data=data, headers={"Content-Type": media_type}
        )
        if done.status_code != 201:
            self._fail(done, f"{self.name}/{repository} did not take the manifest of {version!r}")
        return digest_of(data)

    # ---------------------------------------------------------------------------------------------------------------

    def _body(self, answer: "requests.Response", max_bytes: int) -> bytes | None:
        if answer.status_code == 404:
            answer.close()
            return None
        if answer.status_code != 200:
            self._fail(answer, f"{self.name}: {answer.url} cannot be read")
        data = bytearray()
        for chunk in self._connection.read(answer, 2**16):
            data += chunk
            if len(data) > max_bytes:
                answer.close()
                raise HubError(f"{self.name}: {answer.url} is longer than {max_bytes:,} bytes, and is not read")
        return bytes(data)

    def _list(self, path: str, field: str, repository: str) -> Iterator[str]:
        """Read a list page by page."""
        import msgspec

        address: str | None = f"{path}?n={_PAGE}"
        for _ in range(_MAX_PAGES):
            answer = self._connection.send("GET", address or "", repository=repository, stream=True)
            data = self._body(answer, _MAX_LIST_BYTES)
            if data is None and not repository:
                raise HubError(f"{self.name} does not tell which repositories it has; name one: dure hub list NAME")
            try:
                told: Any = msgspec.json.decode(data) if data is not None else {}
                yield from [str(name) for name in told.get(field) or ()]
            except (msgspec.DecodeError, AttributeError, TypeError) as error:
                raise HubError(f"{self.name}{path}: what it answered is no list: {error}") from error
            link = _NEXT.search(answer.headers.get("Link", ""))
            if link is None:
                return
            address = link[1]

    def _missing(self, repository: str, version: str) -> str:
        name, kind = _spoken(repository)
        tags = [] if version.startswith("sha256:") else self.tags(repository)
        tags = [tag for tag in tags if not tag.startswith("sha256-")]
        if tags:
            near = difflib.get_close_matches(version, tags, n=3) or tags[:5]
            return f"{self.name}/{name}: there is no {kind} {version!r}. There are: {', '.join(near)}"
        try:
            known = [_spoken(one) for one in self.repositories()]
        except HubError:
            known = []
        if (name, kind) in known:
            return f"{self.name}/{name}: there is no {kind} {version!r}"
        if name in dict(known):
            other = "an image: hub+docker://" if kind == "bundle" else "a bundle: hub://"
            return f"{self.name}/{name}: there is no {kind}, but {other}{self.name}/{name}"
        near = difflib.get_close_matches(name, [one for one, _ in known], n=3)
        there = f"Did you mean: {', '.join(near)}?" if near else "What there is: dure hub list"
        return f"{self.name} has no {kind} {name!r}. {there}"

    def _fail(self, answer: "requests.Response", what: str) -> NoReturn:
        told = explanation(answer)
        answer.close()
        raise HubError(f"{what}: {answer.status_code}: {told}")


def _spoken(repository: str) -> tuple[str, str]:
    """Return a repository as people name it, and what it holds."""
    name = repository.removesuffix(f"/{SOURCE}")
    return name, "image" if name == repository else "bundle"


def _write(target: BinaryIO, chunk: bytes) -> None:
    try:
        target.write(chunk)
    except OSError as error:
        raise HubError(
            f"{getattr(target, 'name', 'the file')}: cannot be written: {error.strerror or error}"
        ) from error
