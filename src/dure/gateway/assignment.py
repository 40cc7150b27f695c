"""What a gateway is told over its private pipe when it starts.

Written by the process that starts it, read by `__main__.py`.
"""

import msgspec

from dure.spec import GatewaySpec


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The Flow's graph and the gateway's settings.

    `needs` is in an order in which every Executor comes after those it needs; `native_address` is the Unix socket of
    our own channel, `{port}` in it standing for the public port.
    """

    needs: dict[str, list[str]]
    spec: GatewaySpec
    native_address: str
