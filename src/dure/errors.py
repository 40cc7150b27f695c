"""Every error dure raises on purpose, and how each one is told to a client.

Knows nothing of the rest of dure. Both sides of a process boundary use it: `to_wire` where an error leaves a
process, `from_wire` where it arrives, so the caller catches the class that was raised.

    DureError                        code, http_status, grpc_status, retryable
    ├─ RequestError 400              the caller can fix it
    │  ├─ DecodeError 400            bytes that are not what they claim to be
    │  ├─ ValidationError 422        well-formed, but not acceptable
    │  │  ├─ ParametersError 422     parameters that are not of the type that the method names
    │  │  └─ OutputError 422         what was asked of the answer, which cannot be had from these documents
    │  ├─ EndpointNotFound 404
    │  ├─ JobNotFound 404            no training of this id
    │  └─ TooLarge 413
    ├─ AccessError 403
    │  ├─ Unauthenticated 401        no key, or none that is known and still good
    │  └─ Forbidden 403              the key, the host or the page it comes from does not reach so far
    ├─ OverloadError 503
    │  ├─ RateLimited 429            the client has had its share; carries after how many seconds to try again
    │  ├─ QueueFull 503              too much is waiting; carries after how many seconds to try again
    │  └─ ReplicaUnavailable 503     nobody is left to do the work
    ├─ DeadlineExceeded 504
    ├─ Cancelled 499                 the caller went away
    ├─ ExecutorError 500             user code failed; carries its type, message and traceback
    ├─ SpecError (ValueError) 400    a setting is wrong; carries the path of the value
    ├─ DeviceError 400
    │  ├─ DeviceNotFound             (also raised for a name that names no device)
    │  ├─ DeviceMismatch             two operands live in different places
    │  ├─ DeviceOutOfMemory 507      names what was needed and what is free
    │  ├─ DeviceLost 503             the device does not answer any more; a new process is needed
    │  └─ TransferForbidden
    ├─ BackendError 503
    │  ├─ StartFailed                a worker or the gateway did not start; __cause__ is the child's own exception
    │  ├─ ConnectionLost             the Flow went away, or was never there
    │  └─ WorkerCrashed              the process died with this request in its hands
    ├─ ModelError 500
    │  ├─ ModelNotFound 404          lists where it was looked for
    │  ├─ UnsafeModel                pickled weights are refused
    │  └─ TrainingFailed             a training came to no model; the one before it is as it was
    ├─ HubError 502
    └─ MissingDependency (ImportError)   names the extra to install
"""

from typing import Any, ClassVar


class DureError(Exception):
    """Base of all errors raised by dure."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False


class RequestError(DureError):
    """The request cannot be served as it is; the caller can fix it."""

    code = "bad_request"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class DecodeError(RequestError):
    """Bytes are not what their header claims."""

    code = "decode"


class ValidationError(RequestError):
    """A well-formed value is not acceptable: wrong type, wrong length, not representable."""

    code = "validation"
    http_status = 422


class ParametersError(ValidationError):
    """Parameters are not of the type that the method names for them."""

    code = "parameters"


class OutputError(ValidationError):
    """What the caller asked of the answer cannot be had: a field that is not set, a value that its form lacks."""

    code = "output"


class EndpointNotFound(RequestError):
    """No Executor of the Flow answers this endpoint."""

    code = "endpoint_not_found"
    http_status = 404
    grpc_status = "NOT_FOUND"


class JobNotFound(RequestError):
    """There is no training of this id."""

    code = "job_not_found"
    http_status = 404
    grpc_status = "NOT_FOUND"


class TooLarge(RequestError):
    """A request is larger than the gateway accepts."""

    code = "too_large"
    http_status = 413
    grpc_status = "RESOURCE_EXHAUSTED"


class AccessError(DureError):
    """Who asks may not have what it asks for."""

    code = "access"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class Unauthenticated(AccessError):
    """No API key was given, or none that is known, or one that has expired or was revoked."""

    code = "unauthenticated"
    http_status = 401
    grpc_status = "UNAUTHENTICATED"


class Forbidden(AccessError):
    """Known, but not allowed: the key lacks the scope, or the request comes under a name or from a page not allowed."""

    code = "forbidden"


class OverloadError(DureError):
    """The service cannot take this request now."""

    code = "overload"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    retryable = True


class RateLimited(OverloadError):
    """A client has had its share for now; others have not.

    Args:
        message: Which limit was reached.
        retry_after_s: Seconds after which the same request is within it.
    """

    code = "rate_limited"
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(OverloadError):
    """More is waiting than can be served in time.

    Args:
        message: What is full.
        retry_after_s: Seconds after which it is worth trying again, by the rate at which the queue drains.
    """

    code = "queue_full"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ReplicaUnavailable(OverloadError):
    """No replica of the deployment is alive, and none is being started."""

    code = "replica_unavailable"


class DeadlineExceeded(DureError):
    """The deadline passed before an answer was there."""

    code = "deadline_exceeded"
    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"


class Cancelled(DureError):
    """The caller went away or withdrew the request."""

    code = "cancelled"
    http_status = 499
    grpc_status = "CANCELLED"


class ExecutorError(DureError):
    """User code raised.

    Args:
        message: What happened, with the executor's and the endpoint's name.
        executor: Name of the executor.
        endpoint: Endpoint that was called.
        original_type: Qualified name of the exception the user's code raised.
        original_message: Its text.
        remote_traceback: Its traceback, as text, from the worker.
    """

    code = "executor"

    def __init__(
        self,
        message: str,
        *,
        executor: str = "",
        endpoint: str = "",
        original_type: str = "",
        original_message: str = "",
        remote_traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.executor = executor
        self.endpoint = endpoint
        self.original_type = original_type
        self.original_message = original_message
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n\n{self.remote_traceback.rstrip()}" if self.remote_traceback else text


class SpecError(DureError, ValueError):
    """A setting is wrong. The message begins with the path of the value, e.g. `executors[1].needs`."""

    code = "spec"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class DeviceError(DureError):
    """Something about where data lives."""

    code = "device"
    http_status = 400
    grpc_status = "FAILED_PRECONDITION"


class DeviceNotFound(DeviceError):
    """The named device does not exist on this machine, or the name names no device."""

    code = "device_not_found"


class DeviceMismatch(DeviceError):
    """Operands live in different contexts."""

    code = "device_mismatch"


class DeviceOutOfMemory(DeviceError):
    """An allocation does not fit into the device's free memory."""

    code = "device_out_of_memory"
    http_status = 507
    grpc_status = "RESOURCE_EXHAUSTED"
    retryable = True


class DeviceLost(DeviceError):
    """The device failed for good in this process (CUDA's sticky error); start a new one."""

    code = "device_lost"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    retryable = True


class TransferForbidden(DeviceError):
    """Data would have moved between contexts inside `no_transfers()`."""

    code = "transfer_forbidden"


class BackendError(DureError):
    """Starting, watching or stopping a process failed."""

    code = "backend"
    http_status = 503
    grpc_status = "UNAVAILABLE"


class StartFailed(BackendError):
    """A child did not become ready; `__cause__` is the child's own exception where there is one."""

    code = "start_failed"


class ConnectionLost(BackendError):
    """The Flow cannot be reached, or went away while requests were under way."""

    code = "connection_lost"
    retryable = True


class WorkerCrashed(BackendError):
    """The worker process died while it held this request; whether it had any effect is unknown."""

    code = "worker_crashed"
    retryable = True


class ModelError(DureError):
    """A model cannot be used."""

    code = "model"


class ModelNotFound(ModelError):
    """No complete snapshot of the model was found; the message lists where it was looked for."""

    code = "model_not_found"
    http_status = 404
    grpc_status = "NOT_FOUND"


class UnsafeModel(ModelError):
    """The model's weights are pickled (or do not match their digest) and are refused."""

    code = "unsafe_model"


class TrainingFailed(ModelError):
    """A training came to no model: its loss was no number any more, or its process died again and again."""

    code = "training"


class HubError(DureError):
    """A bundle cannot be made, found or fetched."""

    code = "hub"
    http_status = 502
    grpc_status = "UNAVAILABLE"


class MissingDependency(DureError, ImportError):
    """An optional library is not installed; the message names the extra."""

    code = "missing_dependency"


# Only the classes of this file: one of another file (an app of the gateway that failed, say) goes by the code of the
# class it stands under, and must not arrive in its place.
_KINDS: dict[str, type[DureError]] = {
    kind.code: kind for kind in list(vars().values()) if isinstance(kind, type) and issubclass(kind, DureError)
}


def to_wire(error: BaseException) -> dict[str, Any]:
    """Turn an error into plain values: `code`, `message`, and the extra fields of an `ExecutorError`.

    An exception that is not dure's own becomes the base class, its type named in the message.
    """
    if not isinstance(error, DureError):
        return {"code": DureError.code, "message": f"{type(error).__qualname__}: {error}"}
    message = error.args[0] if error.args else ""
    return {"code": error.code, "message": message, **vars(error)}


def from_wire(fields: dict[str, Any]) -> DureError:
    """Rebuild the error that `to_wire` took apart; an unknown code (of a newer version) gives the base class."""
    rest = dict(fields)
    kind = _KINDS.get(rest.pop("code", ""), DureError)
    error = kind(str(rest.pop("message", "")))
    for name, value in rest.items():
        setattr(error, name, value)
    return error
