"""A new Executor bundle on disk: which files it has, what they say, and where they may be written.

Knows the layout of a bundle; does not know who asked for it nor how a bundle is served. What a
person wrote reaches YAML only through a YAML writer; code and Dockerfile get only the name.
"""

import importlib.metadata
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from dure.errors import HubError, ValidationError
from dure.hub.dockerfile import DEVICES, Dockerfile, check_image, dockerignore
from dure.hub.dockerfile import check_line as check_line  # of every field that a person wrote
from dure.hub.reference import repository_name

_TEMPLATES = Path(__file__).with_name("templates")
_TEXTS = {
    "executor.py": "executor.py.in",
    "README.md": "README.md.in",
    "requirements.txt": "requirements.txt.in",
    "tests/test_executor.py": "test_executor.py.in",
}
_TAKEN = frozenset({"Document", "DocumentArray", "Executor", "Flow", "False", "None", "True"})


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """What a new bundle is called and where it goes.

    Args:
        name: Class of the Executor: letters and digits in CamelCase, e.g. `SentenceEncoder`.
        path: Folder of the bundle; it may exist, the bundle's files in it may not.
        description: One line for people.
        keywords: One word or phrase each.
        url: Home page of the source, http or https.
        dockerfile: Whether the bundle gets a Dockerfile, and one for GPUs.
        base: What the image for GPUs is made from: an image's name, `slim` or `nvidia`.

    Raises:
        ValidationError: A value cannot be used; the message names the field.
    """

    name: str
    path: Path
    description: str = ""
    keywords: tuple[str, ...] = ()
    url: str = ""
    dockerfile: bool = False
    base: str = "slim"

    def __post_init__(self) -> None:
        """Check every field, so that a Scaffold that exists can be written."""
        check_name(self.name)
        check_line("path", str(self.path))
        check_line("description", self.description)
        for keyword in self.keywords:
            check_line("keywords", keyword)
        check_url(self.url)
        check_image("base", self.base)

    @property
    def image(self) -> str:
        """Name for a container image: `sentence-encoder` for `SentenceEncoder`."""
        return repository_name(self.name)


def check_name(name: str) -> str:
    """Return `name` if a bundle's class can have it.

    Raises:
        ValidationError: It is not in CamelCase, or the bundle's files use it for something else.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,63}", name):
        raise ValidationError(
            f"name: {name!r} is not in CamelCase: a letter A-Z first, then letters and digits "
            "(A-Z, a-z, 0-9), at most 64 in all. For example: SentenceEncoder."
        )
    if name in _TAKEN:
        raise ValidationError(f"name: {name!r} already means something in the bundle's files. For example: My{name}.")
    return name


def check_url(url: str) -> str:
    """Return `url` if it is empty or an address for a web browser.

    Raises:
        ValidationError: It is something else.
    """
    check_line("url", url)
    if url and not re.match(r"https?://[^\s/]", url):
        raise ValidationError(f"url: {url!r} does not begin with http:// or https:// and a host.")
    return url


def split_keywords(text: str) -> tuple[str, ...]:
    """Take apart what a person typed: by commas if there is one, else by spaces."""
    words = text.split(",") if "," in text else text.split()
    return tuple(word.strip() for word in words if word.strip())


def render(scaffold: Scaffold) -> dict[str, str]:
    """Return the bundle's files: path inside the folder -> text. Writes nothing."""
    values = {
        "name": scaffold.name,
        "image": scaffold.image,
        "version": importlib.metadata.version("dure"),
        "description": scaffold.description or "Say here what it does.",
    }
    about = {
        "name": scaffold.name,
        "description": scaffold.description,
        "url": scaffold.url,
        "keywords": list(scaffold.keywords),
    }
    told = {key: value for key, value in about.items() if value}
    files = {
        "config.yml": _yaml({"jtype": scaffold.name, "with": {}, "metas": {**told, "py_modules": ["executor.py"]}}),
        "manifest.yml": _yaml({"manifest_version": 1, **about}),
    }
    for target, template in _TEXTS.items():
        text = Template((_TEMPLATES / template).read_text(encoding="utf-8"))
        files[target] = text.substitute(values)
    if scaffold.dockerfile:
        files |= {name: dockerfile_of(scaffold, device).render() for device, name in DEVICES.items()}
        files[".dockerignore"] = dockerignore()
    return files


def dockerfile_of(scaffold: Scaffold, device: str) -> Dockerfile:
    """Return what the Dockerfile of a bundle says.

    Raises:
        ValidationError: A value that cannot stand there.
    """
    return Dockerfile(
        title=scaffold.name,
        image=scaffold.image,
        version=importlib.metadata.version("dure"),
        device=device,
        base=scaffold.base if device == "gpu" else "slim",
        description=scaffold.description,
        url=scaffold.url,
    )


def write(scaffold: Scaffold) -> list[Path]:
    """Write the bundle and return its files. Nothing that exists is changed.

    Raises:
        HubError: Files are in the way (all are listed), or the folder cannot be written to; no
            file is left behind then.
    """
    files = {scaffold.path / target: text for target, text in render(scaffold).items()}
    obstacles = _in_the_way(scaffold.path, files)
    if obstacles:
        listing = "\n".join(f"  {path}" for path in obstacles)
        raise HubError(
            f"Nothing was written, because this is in the way:\n{listing}\nMove it away or choose another folder."
        )
    written: list[Path] = []
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # "x" refuses a file that came into being since the look above.
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(text)
        except OSError as error:
            for done in written:
                done.unlink(missing_ok=True)
            raise HubError(f"{path}: cannot be written: {error.strerror or error}. No file was made.") from error
    return written


def _in_the_way(folder: Path, files: Iterable[Path]) -> list[Path]:
    """List files where folders must be, and whatever has a file's name already, dead links too."""
    folders = [folder, *folder.parents, folder / "tests"]
    # os.path rather than Path: what cannot be looked at is told when writing to it fails.
    blocked = [path for path in folders if os.path.lexists(path) and not os.path.isdir(path)]
    return blocked or [path for path in files if os.path.lexists(path)]


def _yaml(values: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=1000)
