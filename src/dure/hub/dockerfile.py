"""The Dockerfile of a bundle, for a CPU or for NVIDIA's GPUs, and what may be written into one.

Knows the template and how Docker quotes; does not know who asked for it nor how an image is built.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from dure.errors import ValidationError
from dure.spec import suggest

_TEMPLATES = Path(__file__).with_name("templates")
DEVICES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu"}
"""Device -> the file's name."""

BASES = {"slim": "python:3.11-slim", "nvidia": "nvcr.io/nvidia/pytorch:25.05-py3"}
"""Short names of bases; `nvidia` brings PyTorch and CUDA, so that they are not installed again."""

_CPU_TORCH = """\
# PyTorch without CUDA: 0.2 GB to download, not 3. Said empty, torch comes from where everything else does.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu"""
_GPU_TORCH = """\
# An index for torch alone, e.g. https://download.pytorch.org/whl/cu126; without it torch brings CUDA from pypi.org.
ARG TORCH_INDEX"""
_BREAKS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_IMAGE = re.compile(r"[a-z0-9](?:[\w./:@-]*[\w])?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """What a Dockerfile says.

    Args:
        title: Class of the Executor.
        image: Name of the image, for the comments and labels.
        version: Of dure.
        device: `cpu` or `gpu`.
        base: An image's name, or a short one of `BASES`.
        description: One line for people.
        url: Where the source is.

    Raises:
        ValidationError: A value that cannot stand there; the message names the field.
    """

    title: str
    image: str
    version: str
    device: str = "cpu"
    base: str = "slim"
    description: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValidationError(
                f"device: one of {', '.join(DEVICES)}, not {self.device!r}.{suggest(self.device, DEVICES)}"
            )
        for name in ("title", "image", "version", "description", "url"):
            check_line(name, getattr(self, name))
        check_image("base", self.base)

    @property
    def name(self) -> str:
        """Name of the file: `Dockerfile` or `Dockerfile.gpu`."""
        return DEVICES[self.device]

    def render(self) -> str:
        """Return the text."""
        is_gpu = self.device == "gpu"
        values = {
            "title": self.title,
            "device": self.device,
            "image": self.image,
            "version": self.version,
            "base": base_name(self.base),
            "file_option": f"-f {self.name} " if is_gpu else "",
            "torch_index": _GPU_TORCH if is_gpu else _CPU_TORCH,
            "nvidia": " NVIDIA_DRIVER_CAPABILITIES=compute,utility" if is_gpu else "",
            "description": quoted(self.description),
            "url": quoted(self.url),
        }
        text = (_TEMPLATES / "Dockerfile.in").read_text(encoding="utf-8")
        return Template(text).substitute(values)


def dockerignore() -> str:
    """Return the text of `.dockerignore`."""
    return (_TEMPLATES / "dockerignore.in").read_text(encoding="utf-8")


def base_name(base: str) -> str:
    """Return the image that a short name stands for, or the name as it is."""
    return BASES.get(base, base)


def quoted(text: str) -> str:
    r"""Return a text as it stands between double quotes in a Dockerfile: `"`, `\` and `$` mean nothing there then."""
    return re.sub(r'(["\\$])', r"\\\1", text)


def check_line(field: str, value: str) -> str:
    """Return `value` if it is one line of text: whatever follows a line break would be an instruction of its own.

    Raises:
        ValidationError: It holds a line break, a control character or half of a surrogate pair.
    """
    for position, character in enumerate(value):
        if unicodedata.category(character) in _BREAKS:
            raise ValidationError(
                f"{field}: one line of text is needed, but {value!r} holds {character!r} at position {position}."
                " Leave it out."
            )
    return value


def check_image(field: str, value: str) -> str:
    """Return `value` if an image can be called so.

    Raises:
        ValidationError: It cannot.
    """
    check_line(field, value)
    if not _IMAGE.fullmatch(value):
        raise ValidationError(f"{field}: {value!r} is no image's name, e.g. {BASES['slim']}")
    return value


def check_arguments(arguments: Mapping[str, str]) -> None:
    """Look whether build arguments can be given.

    Raises:
        ValidationError: A name that is none, or a value of several lines.
    """
    for name, value in arguments.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ValidationError(f"build-arg: {name!r} is no name of an argument, e.g. TORCH_INDEX")
        check_line(f"build-arg {name}", value)
