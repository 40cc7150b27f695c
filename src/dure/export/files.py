"""Exports as files: YAML that people read, written over an earlier export and over nothing else."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dure.errors import SpecError

MARK = "# Made by `dure export`; written anew by the next one."
"""The first line of every file that may be written over."""


def yaml_text(*documents: Any) -> str:
    """Return values as YAML: in their order, texts of several lines as such, nothing as a reference to another."""
    import yaml

    text: str = yaml.dump_all(documents, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=118)
    return text


def write_files(folder: Path, files: Mapping[str, str], *, stale: Iterable[str] = ()) -> list[Path]:
    """Write files; those of an earlier export that are no longer among them are removed.

    Args:
        folder: Where; made if it is not there.
        files: Path in it -> text.
        stale: Patterns of files that an earlier export may have left.

    Returns:
        What was written.

    Raises:
        SpecError: A file is there that no export wrote; nothing was written then.
    """
    paths = {folder / name: text for name, text in files.items()}
    for path in paths:
        if path.exists() and not _is_ours(path):
            raise SpecError(
                f"{path}: is there, and was not made by `dure export`; move it away, or export elsewhere (-o)"
            )
    for pattern in stale:
        for path in folder.glob(pattern):
            if path not in paths and _is_ours(path):
                path.unlink()
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{MARK}\n{text}", encoding="utf-8")
        path.chmod(0o644)  # read by users that containers run as
    return list(paths)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().rstrip() == MARK.encode()


@cache
def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return Dumper
