"""The model store: versions of models under DURE_HOME, and aliases for them.

Knows files only, not what is in them. Several processes may use it at once: a version appears by one rename, which also
takes its number, and an alias by the replacement of one file.
"""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dure.errors import ModelError, ModelNotFound, ValidationError
from dure.spec import suggest
from dure.store.home import home_folder
from dure.store.naming import checked_alias, checked_name, parse_reference
from dure.store.publication import locked, replace_file, sync, told, written_folder
from dure.store.version import CARD, Version, digest_of, read_card

_ALIASES = "aliases.json"
_DELETED = ".deleted"  # "3.deleted" stands where version 3 was, so that its number is not used again
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class ModelStore:
    """The models of one folder.

    Args:
        folder: Where they are; `models` below the home folder if not given. It is made when something is published.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or home_folder() / "models"

    def names(self) -> list[str]:
        """Return the names of the models that have a version, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and self._numbers(path.name))

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a model, oldest first; none of a model that is not there.

        Raises:
            ValidationError: It cannot be a name.
        """
        name = checked_name(name)
        aliases = self._aliases(name)
        return [self._version(name, number, aliases, strict=False) for number in self._numbers(name)]

    def resolve(self, reference: str) -> Version:
        """Return the version that is meant by `m` (the newest), `m@3` or `m@prod`, as things are now.

        Raises:
            ValidationError: It is written otherwise.
            ModelNotFound: It is not there; lists those that are.
            ModelError: Its card cannot be read.
        """
        meant = parse_reference(reference)
        numbers = self._numbers(meant.name)
        if not numbers:
            raise ModelNotFound(self._none_of(meant.name))
        aliases = self._aliases(meant.name)
        number = aliases.get(meant.alias) if meant.alias else meant.number or numbers[-1]
        if number not in numbers:
            there = ", ".join(map(str, numbers))
            known = ", ".join(f"{alias} -> {number}" for alias, number in sorted(aliases.items())) or "none"
            raise ModelNotFound(f"{reference}: there is no such version. There are {there}; aliases: {known}")
        return self._version(meant.name, number, aliases, strict=True)

    def changed(self, name: str) -> object:
        """Return a value that is another one after whatever changes what `name`, `name@3` or `name@prod` mean.

        It costs one look at the file system. None where there is no such model.
        """
        try:
            status = (self.folder / name).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def publish(self, name: str, write: Callable[[Path], None], card: dict[str, Any]) -> Version:
        """Add a version: it appears when all of it is on the disk, or not at all.

        Args:
            name: Of the model.
            write: Writes the files into the folder that it is given.
            card: What is told of it; `size_bytes` and `files`, their digests, are added.

        Raises:
            ValidationError: It cannot be a name.
            ModelError: It cannot be written; nothing is left behind.
        """
        name = checked_name(name)
        parent = self.folder / name
        whole: dict[str, Any] = dict(card)

        def write_all(folder: Path) -> None:
            write(folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            whole["size_bytes"] = sum(path.stat().st_size for path in files)
            whole["files"] = {path.relative_to(folder).as_posix(): digest_of(path) for path in files}
            (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")

        with written_folder(parent, write_all) as work, told(parent):
            folder = self._take_number(parent, work)
            sync(parent)
            sync(self.folder)
        return Version(name, int(folder.name), folder, whole, self._names_of(name, int(folder.name)))

    def alias(self, name: str, alias: str, number: int) -> None:
        """Have `name@alias` mean that version from now on.

        Raises:
            ValidationError: It cannot be an alias.
            ModelNotFound: There is no such version.
        """
        alias = checked_alias(alias)
        name = self.resolve(f"{checked_name(name)}@{number}").name
        with locked(self.folder / name):
            replace_file(self.folder / name / _ALIASES, msgspec.json.encode({**self._aliases(name), alias: number}))

    def unalias(self, name: str, alias: str) -> None:
        """Forget an alias.

        Raises:
            ModelNotFound: There is none; lists those there are.
        """
        name = self.resolve(checked_name(name)).name
        with locked(self.folder / name):
            aliases = self._aliases(name)
            if aliases.pop(alias, None) is None:
                raise ModelNotFound(
                    f"{name}@{alias}: there is no such alias. There are: {', '.join(aliases) or 'none'}"
                )
            replace_file(self.folder / name / _ALIASES, msgspec.json.encode(aliases))

    def delete(self, reference: str, *, with_aliases: bool = False) -> list[Version]:
        """Remove one version (`m@3`), or with a bare name the model with all of its versions; return what is gone.

        Args:
            reference: What to remove. An alias is refused: it is not clear whether the name is meant or the version.
            with_aliases: Whether aliases that point at it go too.

        Raises:
            ModelNotFound: It is not there.
            ValidationError: An alias points at it, or is what was given.
        """
        meant = parse_reference(reference)
        if meant.alias:
            raise ValidationError(
                f"{reference} is an alias: delete the version that it points at by its number, or remove"
                " the alias alone"
            )
        self.resolve(reference)
        parent = self.folder / meant.name
        with locked(parent), told(parent):
            found = [v for v in self.versions(meant.name) if meant.number in (None, v.number)]
            named = sorted(alias for version in found for alias in version.aliases)
            if named and not with_aliases:
                raise ValidationError(
                    f"{reference} is what {', '.join(f'{meant.name}@{alias}' for alias in named)} points at: move the"
                    " alias to another version first, or say that it goes too"
                )
            if named:
                rest = {alias: n for alias, n in self._aliases(meant.name).items() if alias not in named}
                replace_file(parent / _ALIASES, msgspec.json.encode(rest))
            for version in found:
                (parent / f"{version.number}{_DELETED}").touch()
                gone = parent / f".new-{version.number}-deleted"  # if we are killed now, who publishes next removes it
                version.folder.rename(gone)
                shutil.rmtree(gone)
            sync(parent)
        return found

    def _take_number(self, parent: Path, work: Path) -> Path:
        with locked(parent):
            stems = (path.name.removesuffix(_DELETED) for path in parent.iterdir())
            number = max((int(stem) for stem in stems if stem.isdigit()), default=0)
            while True:
                number += 1
                try:
                    return work.rename(parent / str(number))
                except OSError as error:
                    if error.errno not in _TAKEN:
                        raise

    def _numbers(self, name: str) -> list[int]:
        try:
            return sorted(int(path.name) for path in (self.folder / name).iterdir() if path.name.isdigit())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _version(self, name: str, number: int, aliases: dict[str, int], *, strict: bool) -> Version:
        folder = self.folder / name / str(number)
        try:
            card = read_card(folder)
        except ModelError as error:
            if strict:
                raise
            card = {"damaged": str(error)}
        return Version(name, number, folder, card, tuple(sorted(a for a, n in aliases.items() if n == number)))

    def _aliases(self, name: str) -> dict[str, int]:
        path = self.folder / name / _ALIASES
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except msgspec.DecodeError as error:
            raise ModelError(f"{path} is damaged: {error}. Remove it, and set the aliases again") from error

    def _names_of(self, name: str, number: int) -> tuple[str, ...]:
        return tuple(sorted(alias for alias, n in self._aliases(name).items() if n == number))

    def _none_of(self, name: str) -> str:
        names = self.names()
        known = ", ".join(names) if names else "none yet; train one with `dure train`"
        return f"{name}: there is no such model in {self.folder}.{suggest(name, names)} There are: {known}"
