"""Requests to a Flow, through the client that everybody uses.

Knows dure's client; does not know when requests are sent.
"""

from collections.abc import Sequence

from dure.bench.load import Refusal
from dure.client.async_client import AsyncClient
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import DureError


class FlowSender:
    """Speaks to a Flow; one connection for each request that is under way, kept for the next.

    Args:
        address: `host:port`, which takes our own channel where the Flow is on this machine, `grpc://` or `native://`.
        endpoint: Which method answers.
        requests: The texts of each request; they come round again.
    """

    def __init__(self, address: str, endpoint: str, requests: Sequence[Sequence[str]]) -> None:
        self._client = AsyncClient(address)
        self._endpoint = endpoint
        self._requests = [DocumentArray([Document(text=text) for text in texts]) for texts in requests]

    async def send(self, number: int) -> Refusal | None:
        """Send the n-th request; an answer of another number of Documents does not count."""
        documents = self._requests[number % len(self._requests)]
        try:
            results = await self._client.post(self._endpoint, documents, request_size=len(documents))
        except DureError as error:
            return Refusal(error.code, str(error).partition("\n")[0])
        if len(results) != len(documents):
            return Refusal("wrong_count", f"{len(documents)} Documents were sent, {len(results)} came back")
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
