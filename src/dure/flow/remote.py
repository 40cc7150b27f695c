"""`uses='dure://host:port'`: an Executor whose work a Flow elsewhere does, asked over its public gRPC door.

What it answers, the Flow elsewhere says; how requests are merged there is that Flow's own business.
"""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from dure.client.exchange import encode_parameters
from dure.client.grpc_calls import GrpcCalls, describe
from dure.client.grpc_messages import access_of
from dure.client.native import Target
from dure.document.array import DocumentArray
from dure.errors import DureError, SpecError
from dure.executor.base import Executor
from dure.executor.endpoints import UNMERGED, Endpoint
from dure.executor.relayed import Relayed
from dure.log import get_logger
from dure.spec import ClientSpec, ExecutorSpec, build

SCHEME = "dure://"
_FIELDS = ("key", "tls", "tls_ca", "tls_cert", "tls_key")
_MEANINGLESS = {
    "group": "it has no process of its own there to share",
    "uses_requests": "its endpoints are those of the Flow that does the work",
    "py_modules": "no code of it runs here",
    "device": "where it runs was said there",
    "device_memory": "where it runs was said there",
    "gpus": "where it runs was said there",
    "concurrency": "as many calls are on their way as there are requests",
    "cpu_threads": "no code of it runs here",
    "batching": "requests are merged where the work is done",
    "max_memory": "what it may have was said there",
    "max_cpus": "what it may have was said there",
    "ray_options": "it is no actor",
}


class RemoteExecutor(Executor):
    """Hands requests on to a Flow elsewhere, and its answers back; its errors arrive as they were.

    Args:
        address: `dure://host:port`, or several of them with commas between, which do the same.
        key: API key.
        tls: Speak TLS, and trust whom this machine trusts.
        tls_ca: PEM file of who signed the certificate, in place of that.
        tls_cert: Own certificate chain, a PEM file.
        tls_key: Its private key, a PEM file.

    Raises:
        SpecError: No such address, or files that cannot be read.
        Unauthenticated: The Flow wants a key, or another one.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        tls: bool = False,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        settings = dict(zip(_FIELDS, (key, tls, tls_ca, tls_cert, tls_key), strict=True))
        spec = build(ClientSpec, settings, "uses_with")
        self._accesses = [access_of(one, spec) for one in addresses_of(address)]
        self._calls: GrpcCalls | None = None
        self.requests = {
            one.name: Endpoint(
                name=one.name,
                method="ask_in_parts" if one.streaming else "ask",
                asynchronous=not one.streaming,
                streaming=one.streaming,
                arguments=("docs", "parameters", "endpoint"),
                batching=UNMERGED,
                asked=True,
                description=one.description,
            )
            for one in describe(self._accesses, self._tell_wait)
        }

    async def ask(self, docs: DocumentArray, parameters: dict[str, Any], endpoint: str) -> Any:
        """Answer one request."""
        try:
            incoming = await self._open().call(_target(endpoint, parameters, stream=False), docs)
        except DureError as error:
            raise Relayed(error) from error
        documents = incoming.documents or DocumentArray()
        if not incoming.results:
            return documents
        docs[:] = documents  # those go with a dict that were given
        results = {name: msgspec.msgpack.decode(data) for name, data in incoming.results.items()}
        return next(iter(results.values())) if len(results) == 1 else results

    async def ask_in_parts(
        self, docs: DocumentArray, parameters: dict[str, Any], endpoint: str
    ) -> AsyncGenerator[DocumentArray, None]:
        """Answer one request with parts, as they come."""
        try:
            async for incoming in self._open().parts(_target(endpoint, parameters, stream=True), docs):
                if incoming.documents:
                    yield incoming.documents
        except DureError as error:
            raise Relayed(error) from error

    def _open(self) -> GrpcCalls:
        if self._calls is None:  # on the loop that it is called on
            self._calls = GrpcCalls(self._accesses)
        return self._calls

    def _tell_wait(self, error: DureError) -> None:
        get_logger("worker").info("waiting for the Flow that does the work: %s", error)


def is_remote(uses: Any) -> bool:
    """Return whether `uses` names a Flow elsewhere."""
    return isinstance(uses, str) and uses.startswith(SCHEME)


def check_remote(spec: ExecutorSpec) -> None:
    """Refuse an address that is none, and settings that mean nothing for work that is done elsewhere.

    Raises:
        SpecError: Which, and why.
    """
    addresses_of(spec.uses, f"{spec.name}.uses")
    for name, why in _MEANINGLESS.items():
        if getattr(spec, name) != getattr(ExecutorSpec(uses=""), name):
            raise SpecError(f"{spec.name}.{name}: means nothing with uses={spec.uses!r:.60}: {why}")


def addresses_of(text: str, path: str = "uses") -> list[str]:
    """Return the addresses in `dure://host:port,host:port`.

    Raises:
        SpecError: One of them is none.
    """
    addresses = text.removeprefix(SCHEME).split(",")
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or "/" in address or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SpecError(
                f"{path}: {address!r} is no address; write {SCHEME}host:port, or several with commas between"
            )
    return addresses


def _target(endpoint: str, parameters: dict[str, Any], *, stream: bool) -> Target:
    return Target(endpoint, encode_parameters(parameters), stream)
