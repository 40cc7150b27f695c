"""What a Flow is doing now, as plain values: totals since it began, from which the page at / takes rates."""

from time import monotonic
from typing import Any

from dure.device.probe import inventory, utilization
from dure.executor.endpoints import DEFAULT
from dure.gateway.dispatcher import Dispatcher
from dure.gateway.figures import Histogram
from dure.gateway.router import Router


def live_of(router: Router) -> dict[str, Any]:
    """Return the figures of a Flow; asks the driver for those of GPUs, which takes a millisecond or two."""
    requests = router.figures
    return {
        "at_s": monotonic(),
        "ready": router.available,
        "endpoints": [name for name in router.endpoints() if name != DEFAULT],
        "answered": requests.outcomes["answered"],
        "outcomes": dict(requests.outcomes),
        "seconds": _histogram(requests.seconds),
        "executors": [_executor(name, d, router.nodes[name].needs) for name, d in router.dispatchers.items()],
        "devices": _devices(),
        "errors": [
            {"ago_s": monotonic() - fault.at, "endpoint": fault.endpoint, "code": fault.code, "message": fault.message}
            for fault in reversed(requests.recent)
        ],
    }


def _executor(name: str, dispatcher: Dispatcher, needs: list[str]) -> dict[str, Any]:
    figures = dispatcher.figures
    return {
        "name": name,
        "needs": needs,
        "queued": dispatcher.num_queued,
        "replicas": [
            {"number": one.number, "busy": bool(one.in_flight), "silent": one.silent} for one in dispatcher.replicas
        ],
        "num_requests": sum(figures.stages["queue"].counts),
        "busy_s": sum(figures.busy_s.values()),
        "batch_rows": _histogram(figures.batch_rows),
        "refused": sum(figures.refused.values()),
    }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {"bounds": histogram.bounds, "counts": list(histogram.counts), "sum": histogram.sum}


def _devices() -> list[dict[str, Any]]:
    found, busy = inventory(), utilization()
    devices: list[dict[str, Any]] = []
    for device in found.devices:
        total, free = device.memory_total_bytes, device.memory_free_bytes
        devices.append(
            {
                "name": f"{device.context} {device.name}".strip(),
                "memory_bytes": total,
                "used_bytes": None if total is None or free is None else total - free,
                "utilization": busy.get(device.context),
            }
        )
    return devices
