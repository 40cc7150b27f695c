"""What a gateway is told over its private pipe when it starts.

Written by the process that starts it, read by `__main__.py`.
"""

import msgspec

from dure.spec import GatewaySpec


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One Executor in the graph: the names of those it takes documents from, and settings of its `ExecutorSpec`."""

    needs: list[str]
    max_queue_size: int
    max_call_s: float | None
    replicas: int
    max_replicas: int


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The Flow's graph and the gateway's settings.

    `nodes` is in an order in which every Executor comes after those it needs. `sys_path` is that of the
    starting process: a cost function of the user's own (`cost='module:function'`) is imported from there.
    """

    sys_path: list[str]
    nodes: dict[str, Node]
    spec: GatewaySpec
