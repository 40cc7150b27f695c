"""Where the code of an Executor comes from, if it is named by a reference to a hub: a folder and a Python of its own.

Checking what was written asks nobody; fetching happens when the Flow starts.
"""

import dataclasses
import os
import sys
from typing import Any, NamedTuple

import msgspec

from dure.errors import SpecError
from dure.flow.remote import RemoteExecutor, check_remote, is_remote
from dure.hub.environment import make_environment
from dure.hub.reference import is_reference, parse_reference
from dure.hub.retrieval import fetch, key_of_environment, verified_digest
from dure.spec import ExecutorSpec

_ISOLATED = {"PYTHONPATH": "", "PYTHONHOME": "", "VIRTUAL_ENV": ""}
"""Variables by which the starting process would reach into an environment of its own."""


class Bundle(msgspec.Struct, frozen=True):
    """What a reference became: where the bundle lies, and the Python that runs it."""

    folder: str
    python: str


class Source(NamedTuple):
    """What a worker loads, which Python runs it, where that finds modules (empty: where it says itself), variables."""

    uses: Any
    python: str
    sys_path: list[str]
    env: dict[str, str]


def check_source(spec: ExecutorSpec) -> None:
    """Look whether `uses`, if it is a reference, can be read, and what is said beside it means something.

    Raises:
        SpecError: It cannot, or it shares a process, or names files of this program.
    """
    if is_remote(spec.uses):
        check_remote(spec)
        return
    if not is_reference(spec.uses) or parse_reference(spec.uses).is_image:
        return
    for name, why in {
        "group": "it has an environment of its own, and with it a process",
        "py_modules": "the bundle names its own files in its config.yml",
    }.items():
        if getattr(spec, name) != getattr(ExecutorSpec(uses=""), name):
            raise SpecError(f"{spec.name}.{name}: means nothing with uses={spec.uses!r:.60}: {why}")


def fetched(spec: ExecutorSpec) -> ExecutorSpec:
    """Return the settings with what a reference means in its place.

    That is a bundle that was fetched, with its environment made. An image's reference stays, for the engine to pull;
    where a key is to have signed it (DURE_HUB_KEY), with the digest that was signed.

    Raises:
        HubError: It cannot be had, is not signed, or what it requires cannot be installed.
    """
    if is_remote(spec.uses):
        return msgspec.structs.replace(spec, uses_with={"address": spec.uses, **spec.uses_with})
    if not is_reference(spec.uses):
        return spec
    reference = parse_reference(spec.uses)
    if not reference.is_image:
        folder = fetch(reference)
        bundle = Bundle(str(folder), str(make_environment(folder, str(reference))))
        return msgspec.structs.replace(spec, uses=bundle)
    if key_of_environment() is None:
        return spec
    pinned = dataclasses.replace(reference, digest=verified_digest(reference))
    return msgspec.structs.replace(spec, uses=str(pinned))


def source_of(spec: ExecutorSpec) -> Source:
    """Return what the worker of an Executor is started with."""
    if isinstance(spec.uses, Bundle):
        return Source(spec.uses.folder, spec.uses.python, [], _ISOLATED)
    uses = RemoteExecutor if is_remote(spec.uses) else spec.uses
    return Source(uses, sys.executable, search_path(), {})


def search_path() -> list[str]:
    """Return where this process finds modules, for a process that starts elsewhere."""
    return [path or os.getcwd() for path in sys.path]
