"""What a gateway is told over its private pipe when it starts.

Written by the process that starts it, read by `__main__.py`.
"""

import msgspec

from dure.spec import GatewaySpec


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The Flow's graph and the gateway's settings.

    `needs` is in an order in which every Executor comes after those it needs.
    """

    needs: dict[str, list[str]]
    spec: GatewaySpec
