"""Where a worker is begun: who makes a `Child` of what a worker is told.

The hosts are `ProcessHost` (this machine), `ContainerHost` (a container of an engine) and `RayHost` (an actor of a Ray
cluster).
"""

from typing import Protocol

from dure.backends.child import Child
from dure.worker.assignment import Assignment


class Host(Protocol):
    """Begins workers of one replica, one after the other."""

    @property
    def suffix(self) -> str:
        """How the address of such a worker ends; it tells the gateway how to connect."""

    def begin(self, assignment: Assignment, env: dict[str, str]) -> Child:
        """Start a worker, without waiting for anything.

        Args:
            assignment: What it is told; `address` is where the gateway will look for it.
            env: Environment variables over those of where it runs.
        """
