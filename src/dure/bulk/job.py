"""A map that is to be done: what is read, who is asked for what, and where it goes. A record, for every backend."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dure.bulk.folder import OutputFolder
from dure.bulk.part import Part
from dure.bulk.source import Source
from dure.spec import ClientSpec, ExecutorSpec

Done = Callable[[Part], None]
"""Told of each part that is there."""


class MapSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a file is read and asked about."""

    part_rows: Annotated[int, Meta(ge=1, description="rows of a part, which is written whole or not at all")] = 10_000
    request_size: Annotated[int, Meta(ge=1, description="rows of a request")] = ClientSpec().request_size
    text: Annotated[str | None, Meta(description="column that holds the text")] = "text"
    parameters: Annotated[dict[str, Any], Meta(description="for the method")] = {}
    address: Annotated[
        str | None, Meta(description="Ray cluster, HOST:PORT or auto; one of this machine is started if not given")
    ] = None
    wait_for_resources: Annotated[bool, Meta(description="for a Ray cluster that grows, or lets go of others")] = False
    show_progress: Annotated[bool, Meta(description="on standard error")] = False


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """All that a backend has to know."""

    source: Source
    folder: OutputFolder
    executor: ExecutorSpec
    on: str
    spec: MapSpec
