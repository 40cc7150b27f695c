"""Where the workers of a Flow run: a backend plans their places, and says what begins them there.

On this machine here; on a Ray cluster in `on_ray.py`. The gateway runs where the Flow is started in any case.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from dure.backends.container import ContainerHost
from dure.backends.engine import check_containers
from dure.backends.slot import Worker
from dure.device.probe import inventory
from dure.errors import SpecError
from dure.flow.plan import Plan, make_plan
from dure.flow.unit import Unit, by_units
from dure.spec import BACKENDS, FlowSpec, suggest

LOCAL, RAY = BACKENDS


class Backend(Protocol):
    """A place for workers."""

    def plan(self, spec: FlowSpec) -> Any:
        """Return who would run where, and why; printing it gives a table.

        Raises:
            DureError: A place that is not there, or that cannot be.
        """

    def workers(self, spec: FlowSpec, units: Sequence[Unit]) -> list[Worker]:
        """Return what each replica of these units is begun with, after a look whether it can be.

        Raises:
            DureError: It cannot.
        """

    def settle(self, unit: str, *, swapped: bool) -> None:
        """After new workers were begun beside those of a unit: let go of what the one or the other had reserved."""

    def close(self) -> None:
        """Let go of everything; the workers have ended. Idempotent."""


class Local:
    """This machine: processes, and containers of its engine."""

    def plan(self, spec: FlowSpec) -> Plan:
        """Place every replica on a device of this machine."""
        return make_plan(by_units(spec), inventory())

    def workers(self, spec: FlowSpec, units: Sequence[Unit]) -> list[Worker]:
        """Return what the replicas are begun with; images that are missing are pulled."""
        plan = self.plan(spec)
        workers = [worker for unit in units for worker in unit.workers(spec, plan)]
        check_containers(worker.host.settings for worker in workers if isinstance(worker.host, ContainerHost))
        return workers

    def settle(self, unit: str, *, swapped: bool) -> None:
        """Nothing is reserved here."""

    def close(self) -> None:
        """Nothing is held here."""


def backend_of(
    name: str, address: str | None, runtime_env: dict[str, Any] | None, *, wait_for_resources: bool
) -> Backend:
    """Return a backend by its name.

    Raises:
        SpecError: No such backend, or settings that mean nothing there.
        DureError: The cluster cannot be joined.
    """
    if name == RAY:
        from dure.flow.on_ray import OnRay

        return OnRay(address, runtime_env, wait_for_resources=wait_for_resources)
    if name != LOCAL:
        raise SpecError(f"backend: {name!r} is none.{suggest(name, BACKENDS)} There are: {', '.join(BACKENDS)}.")
    given = {"address": address, "runtime_env": runtime_env, "wait_for_resources": wait_for_resources or None}
    for key, value in given.items():
        if value is not None:
            raise SpecError(f"{key}: means nothing with backend={name!r}; say backend='ray'")
    return Local()
