"""The Open Inference Protocol over gRPC: service `inference.GRPCInferenceService`, with Triton's stream of requests.

The documents in requests and answers stay bytes. What shares memory with the server, or changes it from outside, is
refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableSet
from typing import Any, TypeAlias

import grpc

from dure.document.oip_messages import SERVICE, messages
from dure.errors import DureError
from dure.gateway.grpc_call import abort, outcome_of
from dure.gateway.oip_call import request_of
from dure.gateway.oip_envelope import answer_of, infer_of
from dure.gateway.oip_models import Models, Unsupported
from dure.gateway.oip_stream import Stream
from dure.gateway.router import Router
from dure.gateway.session import Session
from dure.spec import GatewaySpec

Look: TypeAlias = Callable[[Any], dict[str, Any]]

_UNSUPPORTED = (
    *("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"),
    *("CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"),
    *("TraceSetting", "LogSettings"),
)


class OpenInferenceService:
    """Answers the calls of the service.

    Args:
        router: Where requests go.
        spec: Limits.
        sessions: Where streams are kept while they are open, for who ends them.
    """

    def __init__(self, router: Router, spec: GatewaySpec, sessions: MutableSet[Session[Any]]) -> None:
        self._router, self._spec, self._sessions = router, spec, sessions
        self._models = Models(router)

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """Return what a server is given to answer the service."""
        handlers = {name: _handler(name, look) for name, look in self._looks().items()}
        handlers |= {name: grpc.unary_unary_rpc_method_handler(_refuse) for name in _UNSUPPORTED}
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(
            self._infer, messages.ModelInferRequest.FromString, messages.ModelInferResponse.SerializeToString
        )
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream, messages.ModelInferRequest.FromString, messages.ModelStreamInferResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _looks(self) -> dict[str, Look]:
        """Return what is answered at once: method -> from a request to the fields of its response."""
        models = self._models
        return {
            "ServerLive": lambda asked: {"live": True},
            "ServerReady": lambda asked: {"ready": models.is_ready},
            "ModelReady": lambda asked: {"ready": models.is_model_ready(asked.name, asked.version)},
            "ServerMetadata": lambda asked: models.server(),
            "ModelMetadata": lambda asked: models.metadata(asked.name, asked.version),
            "ModelConfig": lambda asked: {"config": models.config(asked.name, asked.version)},
            "ModelStatistics": lambda asked: {"model_stats": models.statistics(asked.name, asked.version)},
            "RepositoryIndex": lambda asked: {"models": models.index(ready_only=asked.ready)},
            "RepositoryModelLoad": lambda asked: models.load(asked.model_name, changed=bool(asked.parameters)),
            "RepositoryModelUnload": lambda asked: models.unload(asked.model_name),
        }

    async def _infer(self, message: Any, context: Any) -> Any:
        try:
            endpoint = self._models.endpoint(message.model_name, message.model_version)
            request, _ = request_of(endpoint, infer_of(message, self._spec.max_request_bytes))
            outcome = await outcome_of(self._router, request, context)
        except DureError as error:
            await abort(context, error)
        return answer_of(message, outcome)

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> None:
        stream = Stream(self._router, self._spec, self._models)
        session = stream.session
        self._sessions.add(session)
        reader = asyncio.get_running_loop().create_task(stream.read(requests))
        try:
            while replies := await session.next_replies():
                for reply in replies:
                    for message in reply:
                        await context.write(message)
            if reader.done():
                reader.result()  # raises what went wrong in it
        finally:
            self._sessions.discard(session)
            reader.cancel()
            session.withdraw_all()


def _handler(name: str, look: Look) -> Any:
    response = getattr(messages, f"{name}Response")

    async def answer(asked: Any, context: Any) -> Any:
        try:
            return response(**look(asked))
        except DureError as error:
            await abort(context, error)

    request = getattr(messages, f"{name}Request")
    return grpc.unary_unary_rpc_method_handler(answer, request.FromString, response.SerializeToString)


async def _refuse(asked: bytes, context: Any) -> None:
    await abort(context, Unsupported("this part of the protocol is not offered here"))
