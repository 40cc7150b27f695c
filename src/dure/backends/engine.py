"""The Docker Engine, or Podman's socket that speaks the same: what is there, and containers made, started and removed.

Uses the Docker SDK, which is an extra. Errors of the engine leave here as sentences that say what to do.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from dure.backends.image import PORT, ContainerSettings, is_root, user_of
from dure.backends.pull import pull, registry_of
from dure.backends.volumes import model_caches
from dure.deps import require
from dure.device.probe import inventory
from dure.errors import BackendError, DeviceNotFound, SpecError
from dure.hub.engine import connect, explanation
from dure.log import get_logger

LABEL = "dure.executor"
"""Of every container that dure made: the name of the Executor in it."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
TOOLKIT = (
    "install the NVIDIA Container Toolkit"
    " (https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html), then:"
    " sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
)
_TIMEOUT_S = 60
_TMPFS = {"/tmp": "rw,nosuid,nodev,mode=1777"}


def check_containers(kinds: Iterable[ContainerSettings]) -> None:
    """Look whether all of these containers can be made, before anything is started; pull the images that are missing.

    Raises:
        MissingDependency: The Docker SDK is not installed.
        DureError: What `Engine` and `Engine.check` raise.
    """
    kinds = {settings.path: settings for settings in kinds}.values()
    if kinds:
        with contextlib.closing(Engine()) as engine:
            for settings in kinds:
                engine.check(settings)


class About(NamedTuple):
    """What an engine tells of itself: name and version, whose images it runs, where it keeps them, GPUs for them."""

    name: str
    architecture: str
    folder: str
    nvidia: bool


class Engine:
    """A connection to the engine that DOCKER_HOST names, or this machine's.

    Raises:
        MissingDependency: The SDK is not installed.
        BackendError: No engine answers.
    """

    def __init__(self) -> None:
        self._docker = require("docker", "docker")
        self._client = connect(_TIMEOUT_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def describe(self) -> About:
        """Return what the engine tells of itself."""
        name = f"{self._client.version()['Components'][0]['Name']} {self._info['ServerVersion']}"
        return About(name, self._info["Architecture"], self._info["DockerRootDir"], self._has_nvidia)

    # -- before anything is started -------------------------------------------------------------------------------

    def check(self, settings: ContainerSettings) -> None:
        """Look whether a container can be made; pull its image if its name says from where.

        Raises:
            SpecError: A host path that is not there.
            BackendError: No image to be had, one for another kind of processor, no NVIDIA runtime.
            DeviceNotFound: More GPUs than there are.
        """
        image = self._image(settings, fetch=True)
        ours = _ARCHITECTURES.get(self._info["Architecture"], self._info["Architecture"])
        theirs = image.attrs.get("Architecture") or ours
        if theirs != ours:
            raise BackendError(
                f"{settings.path}.uses: the image {settings.image!r} is for {theirs}, this engine runs {ours}: build it"
                f" here, or: docker pull --platform linux/{ours} {settings.image}"
            )
        for i, volume in enumerate(settings.volumes):
            volume.bind(f"{settings.path}.volumes[{i}]")
        if settings.gpus is not None and settings.gpus.driver in ("", "nvidia"):
            self._check_gpus(settings)

    def _image(self, settings: ContainerSettings, *, fetch: bool = False) -> Any:
        name = settings.image
        try:
            return self._client.images.get(name)
        except self._docker.errors.ImageNotFound as error:
            if fetch and registry_of(name):
                pull(self._docker, self._client.api, name, settings.path)
                return self._client.images.get(name)
            raise BackendError(
                f"{settings.path}.uses: there is no image {name!r} on this machine. Build it, in its bundle's folder:"
                f" docker build -t {name} . · or say from which registry it comes, e.g. docker://docker.io/{name}"
            ) from error
        except self._docker.errors.APIError as error:
            raise SpecError(f"{settings.path}.uses: {name!r} is no image's name: {explanation(error)}") from error

    def _check_gpus(self, settings: ContainerSettings) -> None:
        here = self._is_here
        if not self._has_nvidia:
            raise BackendError(f"{settings.path}.gpus: the Docker Engine has no NVIDIA runtime: {TOOLKIT}")
        found = inventory()
        if here and not found.gpus and not os.path.exists("/dev/nvidiactl"):
            raise DeviceNotFound(f"{settings.path}.gpus: there is no GPU on this machine: {found.missing}")
        wanted = settings.gpus
        if here and found.gpus and wanted is not None:
            numbers = [int(one) for one in wanted.ids if one.isdecimal()]
            if max([wanted.count - 1, *numbers]) >= len(found.gpus):
                raise DeviceNotFound(f"{settings.path}.gpus: {wanted} is asked for, and there are {len(found.gpus)}")

    @property
    def _has_nvidia(self) -> bool:
        hook = self._is_here and shutil.which("nvidia-container-runtime-hook") is not None
        return hook or "nvidia" in self._info.get("Runtimes", {})

    @cached_property
    def _info(self) -> dict[str, Any]:
        """What the engine says of itself; asked once, since it takes its time."""
        info: dict[str, Any] = self._client.info()
        return info

    # -- one container --------------------------------------------------------------------------------------------

    def create(self, settings: ContainerSettings, name: str, env: dict[str, str]) -> Any:
        """Make a container, without starting it.

        Args:
            settings: What it is made of.
            name: Of the Executor.
            env: Its environment variables.

        Raises:
            SpecError: A setting that the engine refuses.
            BackendError: No such image, or the engine fails.
        """
        image = self._image(settings)
        try:
            return self._client.containers.create(settings.image, **_arguments(settings, image.attrs, name, env))
        except TypeError as error:
            raise SpecError(f"{settings.path}.docker_kwargs: the Docker SDK refuses them: {error}") from error
        except self._docker.errors.APIError as error:
            raise BackendError(f"{settings.path}: no container could be made: {explanation(error)}") from error

    def start(self, container: Any, settings: ContainerSettings) -> tuple[str, int] | None:
        """Start it; return where its port is reached, or None if it ended at once.

        Raises:
            BackendError: The engine cannot start it.
        """
        try:
            container.start()
        except self._docker.errors.APIError as error:
            raise BackendError(f"{settings.path}: the container {_hint(explanation(error))}") from error
        try:
            container.reload()
        except self._docker.errors.NotFound:
            return None  # it is removed already
        direct = self._direct(container)
        if direct:
            return direct, PORT
        published = container.ports.get(f"{PORT}/tcp") or []
        if published:
            return published[0]["HostIp"], int(published[0]["HostPort"])
        if container.status != "running":
            return None
        raise BackendError(
            f"{settings.path}.network: the engine publishes no port of {settings.network!r}; take another"
        )

    def process_of(self, container: Any) -> int:
        """Return the id of a started container's first process; 0 if that is not among the processes of this machine.

        An engine elsewhere, or in a virtual machine, tells a number that may be anybody's here.
        """
        pid = int(container.attrs.get("State", {}).get("Pid", 0))
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii") if self._is_here else ""
        except OSError:
            return 0
        return pid if container.id in groups else 0

    def _direct(self, container: Any) -> str:
        """Return the container's own address, if this machine reaches it: a published port has a proxy before it.

        Where the engine's network is not this machine's (a virtual machine, an engine without root), somebody else may
        have that address.
        """
        if any("rootless" in option for option in self._info.get("SecurityOptions") or ()):
            return ""
        networks = container.attrs["NetworkSettings"]["Networks"].values() if self.process_of(container) else ()
        return next((network["IPAddress"] for network in networks if network.get("IPAddress")), "")

    @property
    def _is_here(self) -> bool:
        """Whether the engine is reached by a socket of this machine."""
        return str(self._client.api.base_url).startswith("http+docker")

    def outputs(self, container: Any) -> Iterable[tuple[bytes | None, bytes | None]]:
        """Attach to a container; return pieces of what it writes, as (stdout, stderr), until it ends."""
        return self._until_gone(container.attach(stream=True, logs=True, demux=True))

    def _until_gone(self, pieces: Any) -> Iterator[Any]:
        try:
            with contextlib.suppress(self._docker.errors.DockerException, OSError):
                yield from pieces
        finally:
            pieces._response.close()  # the SDK's own close leaves the file of the connection open

    def exit_code(self, container: Any) -> int | None:
        """Wait until a container that is not started yet has ended; its exit code, or None where that is lost."""
        with contextlib.suppress(self._docker.errors.DockerException, OSError):
            return int(container.wait(timeout=None, condition="next-exit")["StatusCode"])
        return None

    def signal(self, container: Any, name: str) -> None:
        """Send a signal to a container, if it runs."""
        with contextlib.suppress(self._docker.errors.DockerException, OSError):
            container.kill(signal=name)

    def remove(self, container: Any) -> None:
        """Remove a container, whatever its state."""
        with contextlib.suppress(self._docker.errors.DockerException, OSError):
            container.remove(force=True, v=True)


def _arguments(settings: ContainerSettings, image: dict[str, Any], name: str, env: dict[str, str]) -> dict[str, Any]:
    """Return what the SDK is told: safe defaults, the settings, and Docker's own words over the defaults."""
    config = image.get("Config") or {}
    user = user_of(settings, config.get("User") or "")
    home = "/root" if is_root(user) else dict(_pairs(config.get("Env") or [])).get("HOME", "/tmp")
    volumes = [*settings.volumes, *(model_caches(home) if settings.cache else ())]
    moved = volumes if is_root(user) else [volume.below(home) for volume in volumes]
    for before, after in zip(volumes, moved, strict=True):
        if before != after:
            text = "%s.volumes: %s is root's, and the container runs as %s: mounted at %s"
            get_logger("flow").info(text, settings.path, before.target, user, after.target)
    safe: dict[str, Any] = {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": _TMPFS,
        "init": True,
        "healthcheck": {"test": ["NONE"]},  # who started it asks the worker itself
        "log_config": {"type": "json-file", "config": {"max-size": "1m"}},
    }
    return {
        **safe,
        **settings.docker_kwargs,
        "name": f"dure-{re.sub('[^a-zA-Z0-9_.-]', '-', name)}-{uuid4().hex[:12]}",
        "labels": {LABEL: name},
        "entrypoint": ["python", "-P", "-m", "dure.worker"],
        "command": ["--listen", f"0.0.0.0:{PORT}"],
        "environment": {"HOME": home, **env},
        "user": user,
        "ports": {f"{PORT}/tcp": ("127.0.0.1", None)},
        "network": settings.network,
        "volumes": [volume.bind(f"{settings.path}.volumes") for volume in moved],
        "mem_limit": settings.max_memory_bytes,
        "nano_cpus": None if settings.max_cpus is None else int(settings.max_cpus * 1e9),
        "pids_limit": settings.max_processes,
        "device_requests": [] if settings.gpus is None else [_device_request(settings)],
        "detach": True,
        "auto_remove": True,
    }


def _device_request(settings: ContainerSettings) -> Any:
    fields = {} if settings.gpus is None else settings.gpus.docker()
    return require("docker", "docker").types.DeviceRequest(**fields)


def _pairs(env: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in env:
        name, _, value = text.partition("=")
        yield name, value


def _hint(text: str) -> str:
    if "could not select device driver" in text:
        return f"gets no GPU ({text}): {TOOLKIT}"
    if "executable file not found" in text or "no such file or directory" in text:
        return f"holds no Python ({text}): it is not an image of dure; `dure hub new --dockerfile` makes one"
    return f"could not be started: {text}"
