"""From what a worker is told of an Executor to the Executor, constructed where it is to run."""

import cloudpickle

from dure.executor.base import Executor, known_arguments
from dure.executor.loader import construct, resolve
from dure.worker.assignment import Hosted


def constructed(hosted: Hosted, device: str | None, replica: int, replicas: int) -> Executor:
    """Return the Executor; `device` is what its constructor is told, if it takes that and nobody said otherwise.

    Raises:
        Exception: Whatever its code raises.
    """
    recipe = resolve(cloudpickle.loads(hosted.uses), hosted.py_modules)
    arguments = cloudpickle.loads(hosted.uses_with)
    if device is not None and "device" in known_arguments(recipe.kind):
        arguments.setdefault("device", device)
    runtime = {"name": hosted.name, "replica": replica, "replicas": replicas}
    return construct(recipe, arguments, hosted.uses_requests, runtime, hosted.batching)
