"""A crew on a Ray cluster: Ray Train's TorchTrainer starts its workers, and others, or fewer, when one is lost.

Knows Ray; what its workers do is `crew_member.py`. Rows and models go through the crew's folder, not through Ray.
"""

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from dure.backends.process import DEFAULTS
from dure.backends.ray_cluster import CLIENT, OWN, Cluster
from dure.bib.crew_folder import CrewFolder
from dure.bib.crew_member import work
from dure.bib.crew_order import MAX_LOSSES, CrewOrder
from dure.deps import require
from dure.device.context import parse_context
from dure.errors import BackendError, DeviceNotFound, SpecError, StartFailed, ValidationError
from dure.learning.recipe import Recipe

_ANSWERS_WITHIN_S = 60.0
_LAST_WORDS = 2000
_COORDINATOR = {"name": "AutoscalingCoordinator", "namespace": "AutoscalingCoordinator"}
"""An actor of Ray's own that outlives who began it."""


class RayCrew:
    """See `dure.bib.crew_order.CrewAtWork`.

    Args:
        folder: Of the crew; all nodes see it.
        order: How many, and where.
        recipe: On which kind of device.
        threads: Of each, as many cores as it takes of its node.

    Raises:
        MissingDependency: Ray is not installed.
        SpecError: No such address, or one of Ray's client.
        StartFailed: No cluster answers there, or a node of it cannot run dure.
        ValidationError: A node does not see the folder.
        DeviceNotFound: The cluster has fewer GPUs than workers; or BackendError, fewer cores.
    """

    def __init__(self, folder: CrewFolder, order: CrewOrder, recipe: Recipe, threads: int) -> None:
        require("ray", "ray")
        address = order.address or OWN
        if address.startswith(CLIENT):
            raise SpecError(
                f"address: {address!r} is of Ray's client, over which nobody can lead a crew; run this on a node of the"
                " cluster, with address='auto'"
            )
        on_gpu = parse_context(recipe.device).kind == "gpu"
        fit = _Fit(path=str(folder.path), workers=order.workers, threads=threads, on_gpu=on_gpu)
        self._cluster = Cluster.connect(address)
        self._ray = ray = self._cluster.ray
        try:
            _check_room(self._cluster, fit)
            _check_seen(ray, folder)
            self._had_coordinator = _coordinator(ray) is not None
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(_here(ray), soft=False)
            # In a task, so that all that Ray Train began ends when that is cancelled.
            task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_fit)
            self._done = task.remote(msgspec.msgpack.encode(fit))
        except BaseException:
            self._cluster.close()
            raise

    def has_ended(self) -> bool:
        """Return whether Ray Train has."""
        return bool(self._ray.wait([self._done], timeout=0)[0])

    def last_words(self) -> str:
        """Return what Ray Train says of the worker that was lost."""
        return self._words

    def end(self) -> None:
        """Have all workers end, and let go of the cluster."""
        self._words = ""
        if not self.has_ended():
            self._ray.cancel(self._done, force=True)
        try:
            self._ray.get(self._done, timeout=_ANSWERS_WITHIN_S)
        except self._ray.exceptions.RayError as error:
            said = str(getattr(error, "cause", None) or error).strip()  # without the lines of the task around it
            self._words = said[:_LAST_WORDS]
        if not self._had_coordinator and (left := _coordinator(self._ray)) is not None:
            self._ray.kill(left)
        self._cluster.close()


class _Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What Ray Train is told."""

    path: str
    workers: int
    threads: int
    on_gpu: bool

    @property
    def share(self) -> dict[str, float]:
        """What a worker takes of its node."""
        return {"CPU": float(self.threads), **({"GPU": 1.0} if self.on_gpu else {})}


def _fit(told: bytes) -> None:
    """Run Ray Train, in a process of the cluster."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from dure.learning.process_group import SILENCE, backend_for

    fit = msgspec.msgpack.decode(told, type=_Fit)
    failures: Any = FailureConfig  # Ray's types are of an older one
    losses = failures(max_failures=MAX_LOSSES, max_preemption_failures=MAX_LOSSES)
    run: Any = RunConfig
    scaling: Any = ScalingConfig
    TorchTrainer(
        _work,
        train_loop_config={"path": fit.path},
        torch_config=TorchConfig(backend=backend_for(fit.on_gpu), timeout_s=int(SILENCE.total_seconds())),
        scaling_config=scaling(
            num_workers=(1, fit.workers) if fit.workers > 1 else 1,  # as many as the cluster still has room for
            use_gpu=fit.on_gpu,
            resources_per_worker=fit.share,
        ),
        run_config=run(
            name="crew",
            storage_path=str(Path(fit.path) / "ray"),
            failure_config=losses,
            worker_runtime_env={"env_vars": {**DEFAULTS, "TOKENIZERS_PARALLELISM": "false"}},
        ),
    ).fit()


def _work(config: dict[str, str]) -> None:
    """Be one worker of Ray Train."""
    from ray.train import get_context

    work(Path(config["path"]), int(get_context().get_local_rank()))


def _check_room(cluster: Cluster, fit: _Fit) -> None:
    """Refuse what the cluster could never start all of; Ray would wait for it to grow."""
    nodes = cluster.nodes()
    there = sum(int(min(node.total.get(name, 0) // count for name, count in fit.share.items())) for node in nodes)
    if there < fit.workers:
        each = " and ".join(f"{count:g} {name}" for name, count in fit.share.items())
        has = "; ".join(
            f"{node.address} has " + ", ".join(f"{node.total.get(name, 0):g} {name}" for name in fit.share)
            for node in nodes
        )
        raise (DeviceNotFound if fit.on_gpu else BackendError)(
            f"workers: {fit.workers} of them take {each} each, and the Ray cluster has room for {there}: {has}"
        )


def _check_seen(ray: Any, folder: CrewFolder) -> None:
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    alive = {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
    asked = {
        address: ray.remote(num_cpus=0)(_is_seen)
        .options(scheduling_strategy=strategy(node, soft=False))
        .remote(str(folder.path))
        for address, node in alive.items()
    }
    for address, answer in asked.items():
        try:
            seen = ray.get(answer, timeout=_ANSWERS_WITHIN_S)
        except ray.exceptions.RayError as error:
            raise StartFailed(f"the Ray node {address} cannot run dure: {error}") from error
        if not seen:
            raise ValidationError(
                f"checkpoints: the Ray node {address} does not see {folder.path}; name a folder that all nodes share"
            )


def _is_seen(path: str) -> bool:
    return CrewFolder(Path(path)).is_seen()


def _here(ray: Any) -> str:
    return str(ray.get_runtime_context().get_node_id())


def _coordinator(ray: Any) -> Any:
    with contextlib.suppress(ValueError):
        return ray.get_actor(**_COORDINATOR)
    return None
