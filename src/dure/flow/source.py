"""Where the code of an Executor comes from, if it is named by a reference to a hub: a folder and a Python of its own.

Checking what was written asks nobody; fetching happens when the Flow starts.
"""

import os
import sys
from typing import Any, NamedTuple

import msgspec

from dure.errors import SpecError
from dure.hub.environment import make_environment
from dure.hub.fetching import environments, fetch
from dure.hub.reference import is_reference, parse_reference
from dure.spec import ExecutorSpec

_ISOLATED = {"PYTHONPATH": "", "PYTHONHOME": "", "VIRTUAL_ENV": ""}
"""Variables by which the starting process would reach into an environment of its own."""


class Bundle(msgspec.Struct, frozen=True):
    """What a reference became: where the bundle lies, and the Python that runs it."""

    folder: str
    python: str


class Source(NamedTuple):
    """What a worker loads, which Python runs it, where it finds modules (nothing: where that Python says), variables."""

    uses: Any
    python: str
    sys_path: list[str]
    env: dict[str, str]


def check_source(spec: ExecutorSpec) -> None:
    """Look whether `uses`, if it is a reference, can be read, and what is said beside it means something.

    Raises:
        SpecError: It cannot, or it shares a process, or names files of this program.
    """
    if not is_reference(spec.uses) or parse_reference(spec.uses).is_image:
        return
    for name, why in {
        "group": "it has an environment of its own, and with it a process",
        "py_modules": "the bundle names its own files in its config.yml",
    }.items():
        if getattr(spec, name) != getattr(ExecutorSpec(uses=""), name):
            raise SpecError(f"{spec.name}.{name}: means nothing with uses={spec.uses!r:.60}: {why}")


def fetched(spec: ExecutorSpec) -> ExecutorSpec:
    """Return the settings with a bundle in place of a reference to one, fetched and with its environment made.

    Raises:
        HubError: It cannot be had, or what it requires cannot be installed.
    """
    if not is_reference(spec.uses) or parse_reference(spec.uses).is_image:
        return spec
    folder = fetch(parse_reference(spec.uses))
    bundle = Bundle(str(folder), str(make_environment(folder, environments())))
    return msgspec.structs.replace(spec, uses=bundle)


def source_of(spec: ExecutorSpec) -> Source:
    """Return what the worker of an Executor is started with."""
    if isinstance(spec.uses, Bundle):
        return Source(spec.uses.folder, spec.uses.python, [], _ISOLATED)
    return Source(spec.uses, sys.executable, search_path(), {})


def search_path() -> list[str]:
    """Return where this process finds modules, for a process that starts elsewhere."""
    return [path or os.getcwd() for path in sys.path]
