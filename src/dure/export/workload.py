"""What an export is made of, whatever the engine: a workload for each Executor, one for the gateway, and what both run.

Values, and what is read off them. Who makes them is `stack.py`; who says them in an engine's words, `kubernetes.py` and
`compose.py`.
"""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from dure.backends.gpus import Gpus
from dure.backends.volumes import Volume
from dure.errors import SpecError
from dure.export.ports import Door
from dure.export.references import Reference
from dure.spec import ExecutorSpec, FlowSpec, GatewaySpec, suggest

HOME = "/home/dure"
"""Of the user in an image that `dure hub build` made."""

USER = "10001:10001"
"""As whom a container runs, if nobody said."""

FLOW_FILE = "/etc/dure/flow.yml"
"""Where a container finds the Flow that it runs."""

COMMAND = ["dure", "flow", "up", FLOW_FILE]
"""What a container runs."""

GRACE_S = 40
"""Seconds that a container has for what is under way when it is told to end."""

SOURCE = "dure.flow.yml"
"""Name of the file that holds the Flow as it was; no Executor's has a dot."""


class Wishes(Struct, frozen=True, kw_only=True):
    """What is said of an export besides the Flow.

    Args:
        images: Executor -> the image that stands for it.
        gateway_image: Image of the gateway; the first Executor's, if not given.
        gateways: How many gateways there are.
    """

    images: dict[str, str] = {}
    gateway_image: str | None = None
    gateways: int = 1


class Unit(Struct, frozen=True, kw_only=True):
    """The workload of an Executor.

    Args:
        spec: Its settings.
        path: Where they stand, for messages.
        label: Its name for the engine and in DNS.
        image: What it is made of.
        flow: What it runs.
        env: Environment variable -> what is said and what is named.
        named: Variables that its Flow names.
        max_memory_bytes: Most that it may have; no limit if None.
    """

    spec: ExecutorSpec
    path: str
    label: str
    image: str
    flow: FlowSpec
    env: dict[str, list[str | Reference]]
    named: list[str]
    gpus: Gpus | None
    volumes: tuple[Volume, ...]
    max_memory_bytes: int | None

    @property
    def is_watched(self) -> bool:
        """Whether it has a page for Prometheus."""
        return self.flow.gateway.metrics_port is not None

    def docker_words(self, known: Collection[str], target: str) -> dict[str, Any]:
        """Return what is said in the words of Docker's SDK.

        Raises:
            SpecError: One of them is not known to what is exported.
        """
        for word, value in self.spec.docker_kwargs.items():
            if word not in known:
                raise SpecError(
                    f"{self.path}.docker_kwargs.{word}: {value!r:.60} has no counterpart in {target} here."
                    f"{suggest(word, known)} Those that have: {', '.join(known)}"
                )
        return self.spec.docker_kwargs


class Entrance(Struct, frozen=True, kw_only=True):
    """The workload of the gateway.

    Args:
        spec: Its settings, as they were written.
        files: Setting -> the file of this machine that it names.
        named: Variables that its Flow names.
    """

    spec: GatewaySpec
    label: str
    image: str
    gateways: int
    flow: FlowSpec
    doors: list[Door]
    metrics: Door | None
    files: dict[str, str]
    named: list[str]


class Stack(Struct, frozen=True, kw_only=True):
    """Everything that an engine is to start."""

    name: str
    source: str
    units: list[Unit]
    entrance: Entrance


class Engine(Struct, frozen=True, kw_only=True):
    """What a stack has to know of the engine it is for.

    Args:
        name: `kubernetes` or `compose`.
        is_shared: Whether names have to tell one Flow's workloads from another's.
        places: Setting of the gateway that names a file -> where the file is in the container.
        is_exposed: Whether others than this machine reach the gateway wherever it listens.
        apart: Whether gRPC and HTTP need ports of their own.
        proxies: Networks of what the engine puts before the gateway.
    """

    name: str
    is_shared: bool
    places: dict[str, str]
    is_exposed: bool
    apart: bool = False
    proxies: tuple[str, ...] = ()
