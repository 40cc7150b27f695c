"""The Flow in the words of the Open Inference Protocol: its endpoints as models, with metadata, configuration, figures.

Plain values, which both doors send in their own way. Endpoint `/encode` is model `encode`, in version 1, the only one.
"""

import time
from functools import cache
from time import monotonic
from typing import Any, NoReturn

from dure.document.oip_tensors import BYTES, COLUMN_TYPES
from dure.errors import EndpointNotFound, RequestError
from dure.gateway.description import description_of
from dure.gateway.dispatcher import Dispatcher
from dure.gateway.figures import Batches, EndpointRequests
from dure.gateway.oip_call import PRIORITY_LEVELS
from dure.gateway.router import Router
from dure.spec import suggest

VERSION = "1"
"""Of every model."""

EXTENSIONS = (
    *("binary_tensor_data", "model_repository", "schedule_policy"),
    *("model_configuration", "statistics", "parameters"),
)

_PLATFORM = "dure"


class Refused(RequestError):
    """Something that is understood and not allowed."""

    code = "refused"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class Unsupported(RequestError):
    """A part of the protocol that is not offered here."""

    code = "unsupported"
    http_status = 501
    grpc_status = "UNIMPLEMENTED"


class Models:
    """What may be asked about models.

    Args:
        router: Knows the endpoints, and what became of requests.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def is_ready(self) -> bool:
        """Whether every Executor has a replica."""
        return self._router.available

    def names(self) -> list[str]:
        """The models; where a method answers whatever has none of its own, `default` is among them."""
        return [endpoint[1:] for endpoint in self._router.endpoints() if endpoint != "/"]

    def endpoint(self, name: str, version: str = "") -> str:
        """Return the endpoint that is a model.

        Raises:
            EndpointNotFound: There is none, or not in that version.
        """
        endpoint = f"/{name}"
        if not self._answering(endpoint):
            names = self.names()
            raise EndpointNotFound(
                f"no model of this Flow is named {name!r:.80}.{suggest(name, names)}"
                f" There are: {', '.join(names) or 'none'}."
            )
        if version not in ("", VERSION):
            raise EndpointNotFound(f"model {name!r} is there in version {VERSION} only, not {version!r:.40}")
        return endpoint

    def is_model_ready(self, name: str, version: str = "") -> bool:
        """Whether every Executor that a request to the model visits has a replica.

        Raises:
            EndpointNotFound: There is no such model.
        """
        return all(dispatcher.available for dispatcher in self._answering(self.endpoint(name, version)))

    def streams(self, endpoint: str) -> bool:
        """Whether the answer to one request may come as several."""
        return description_of(self._router, endpoint).streaming

    def server(self) -> dict[str, Any]:
        """Return what is told of the server."""
        return {"name": "dure", "version": _version(), "extensions": list(EXTENSIONS)}

    def metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """Return the names, types and shapes of a model's inputs and outputs.

        Raises:
            EndpointNotFound: There is no such model.
        """
        self.endpoint(name, version)
        columns = [
            {"name": column, "datatype": datatype, "shape": [-1, *_dims(datatype)]}
            for column, datatype in COLUMN_TYPES.items()
        ]
        return {"name": name, "versions": [VERSION], "platform": _PLATFORM, "inputs": columns, "outputs": columns}

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        """Return a model's configuration, in the words of Triton's `ModelConfig`.

        Raises:
            EndpointNotFound: There is no such model.
        """
        described = description_of(self._router, self.endpoint(name, version))
        specs = [info.batching for info in described.infos]
        columns = [
            {"name": column, "data_type": _data_type(datatype), "dims": _dims(datatype)}
            for column, datatype in COLUMN_TYPES.items()
        ]
        return {
            "name": name,
            "platform": _PLATFORM,
            "backend": _PLATFORM,
            "max_batch_size": min(spec.max_batch_size for spec in specs),
            "input": [{**column, "optional": True} for column in columns],
            "output": columns,
            "dynamic_batching": {
                "preferred_batch_size": specs[0].preferred_batch_sizes,
                "max_queue_delay_microseconds": round(max(spec.max_queue_delay_s for spec in specs) * 1e6),
                "priority_levels": PRIORITY_LEVELS,
                "default_priority_level": PRIORITY_LEVELS // 2 + 1,
            },
            "model_transaction_policy": {"decoupled": described.streaming},
        }

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        """Return what became of the requests to a model, or to all of them, whatever the protocol they came by.

        Raises:
            EndpointNotFound: There is no such model.
        """
        if name:
            self.endpoint(name, version)
        return [self._statistics(found) for found in ([name] if name else self.names())]

    def index(self, *, ready_only: bool) -> list[dict[str, Any]]:
        """Return all models, and whether each is ready."""
        states = {name: self.is_model_ready(name) for name in self.names()}
        return [
            {
                "name": name,
                "version": VERSION,
                "state": "READY" if ready else "UNAVAILABLE",
                "reason": "" if ready else "an Executor that it needs has no replica now",
            }
            for name, ready in states.items()
            if ready or not ready_only
        ]

    def load(self, name: str, *, changed: bool) -> dict[str, Any]:
        """Agree that a model is loaded, if it is there; return nothing more.

        Raises:
            EndpointNotFound: There is no such model.
            Refused: It is to be loaded with other files or settings.
        """
        self.endpoint(name)
        if changed:
            raise Refused(f"model {name!r} is what the Flow says it is; another one is not loaded from outside")
        return {}

    def unload(self, name: str) -> NoReturn:
        """Refuse.

        Raises:
            EndpointNotFound: There is no such model.
            Refused: There is.
        """
        self.endpoint(name)
        raise Refused(f"model {name!r} is an endpoint of a running Flow, which is not taken away from outside")

    def _answering(self, endpoint: str) -> list[Dispatcher]:
        return [dispatcher for dispatcher in self._router.dispatchers.values() if dispatcher.answers(endpoint)]

    def _statistics(self, name: str) -> dict[str, Any]:
        endpoint = f"/{name}"
        requests = self._router.figures.endpoints.get(endpoint) or EndpointRequests()
        calls = [
            one.figures.endpoints[endpoint] for one in self._answering(endpoint) if endpoint in one.figures.endpoints
        ]
        sizes: dict[int, list[Batches]] = {}
        for call in calls:
            for size, batches in call.batches.items():
                sizes.setdefault(size, []).append(batches)
        every = [batches for found in sizes.values() for batches in found]
        num_requests = sum(batches.num_requests for batches in every)
        since_s = monotonic() - requests.last_at
        return {
            "name": name,
            "version": VERSION,
            "last_inference": round(time.time_ns() / 1e6 - since_s * 1000) if requests.last_at else 0,
            "inference_count": requests.rows_answered,
            "execution_count": sum(batches.num for batches in every),
            "inference_stats": {
                "success": _duration(requests.num_answered, requests.answered_s),
                "fail": _duration(requests.num_failed, requests.failed_s),
                "queue": _duration(num_requests, sum(call.queue_s for call in calls)),
                **{
                    stage: _duration(num_requests, sum(_seconds(batches, stage, each=True) for batches in every))
                    for stage in _STAGES
                },
                "cache_hit": _duration(0, 0.0),
                "cache_miss": _duration(0, 0.0),
            },
            "batch_stats": [
                {
                    "batch_size": size,
                    **{
                        stage: _duration(
                            sum(batches.num for batches in found),
                            sum(_seconds(batches, stage, each=False) for batches in found),
                        )
                        for stage in _STAGES
                    },
                }
                for size, found in sorted(sizes.items())
            ],
        }


_STAGES = {"compute_input": "decode_s", "compute_infer": "compute_s", "compute_output": "encode_s"}


def _seconds(batches: Batches, stage: str, *, each: bool) -> float:
    """Return what a stage of batches took: once for every batch, or for each of the requests in them."""
    seconds: float = getattr(batches, _STAGES[stage])
    return seconds * batches.num_requests / batches.num if each else seconds


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


def _dims(datatype: str) -> list[int]:
    return [1] if datatype == BYTES else [-1]  # never none: Triton's perf_analyzer takes that for no shape


def _data_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == BYTES else f"TYPE_{datatype}"


@cache
def _version() -> str:
    from importlib.metadata import version  # takes as long to import as all of this protocol

    return version("dure")
