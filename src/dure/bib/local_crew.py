"""A crew on this machine: torchrun starts its processes, watches them, and begins all anew when one is lost.

Knows torchrun; what its processes do is `crew_member.py`.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from dure.bib.crew_folder import CrewFolder
from dure.bib.crew_order import MAX_LOSSES, CrewOrder
from dure.device.context import parse_context
from dure.device.probe import VISIBLE_VARIABLE, inventory, require_device
from dure.errors import DeviceNotFound
from dure.learning.recipe import Recipe

_LAST_WORDS_BYTES = 2000
_ENDS_WITHIN_S = 10.0
_ROOT_CAUSE = re.compile(r"Root Cause.*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", re.DOTALL)


class LocalCrew:
    """See `dure.bib.crew_order.CrewAtWork`.

    Args:
        folder: Of the crew.
        order: How many.
        recipe: On which device.
        threads: Of each.

    Raises:
        DeviceNotFound: There are fewer GPUs than workers.
    """

    def __init__(self, folder: CrewFolder, order: CrewOrder, recipe: Recipe, threads: int) -> None:
        self._logs = folder.path / "logs"
        visible = _visible(recipe.device, order.workers)
        shutil.rmtree(self._logs, ignore_errors=True)
        self._logs.mkdir()
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
        env |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
        env |= {VISIBLE_VARIABLE: visible, **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})}
        # Else workers that are begun again may read the addresses of those before them (pytorch/pytorch#135712).
        env["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        words = ["--standalone", "--nproc-per-node", order.workers, "--max-restarts", MAX_LOSSES]
        words += ["--monitor-interval", 0.2, "--redirects", 3, "--log-dir", self._logs]
        words += ["-m", "dure.bib.crew_member", folder.path, folder.leader]
        with self._own_log.open("wb") as log:
            self._torchrun = subprocess.Popen(
                [sys.executable, "-P", "-m", "torch.distributed.run", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,  # Ctrl-C is for who leads
            )

    @property
    def _own_log(self) -> Path:
        return self._logs / "torchrun.log"

    def has_ended(self) -> bool:
        """Return whether torchrun has."""
        return self._torchrun.poll() is not None

    def last_words(self) -> str:
        """Return how the worker that was lost first ended, and what it wrote last."""
        found = _ROOT_CAUSE.search(self._own_log.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            return f"torchrun {_end_of(self._torchrun.wait())}. {_tail(self._own_log)}"
        rank, code = map(int, found.groups())
        logs = sorted(self._logs.glob(f"*/attempt_*/{rank}/stderr.log"), key=lambda path: path.stat().st_mtime)
        words = _tail(logs[-1]) if logs else ""
        return f"worker {rank} {_end_of(code)}. " + (
            f"It had written last:\n{words}" if words else "It had written nothing."
        )

    def end(self) -> None:
        """Have torchrun end its processes, and itself."""
        self._torchrun.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._torchrun.wait(_ENDS_WITHIN_S)
        self._torchrun.kill()  # processes that it could not end see that nobody leads them
        self._torchrun.wait()


def _visible(device: str, workers: int) -> str:
    """Return which GPUs the crew may see: as many as it has workers, or none."""
    context = parse_context(device)
    if context.kind == "cpu":
        return ""
    if workers == 1:
        return require_device(context).visible_as
    gpus = inventory().gpus
    if len(gpus) < workers:
        why = inventory().missing if not gpus else f"this machine has {len(gpus)}"
        raise DeviceNotFound(f"workers: {workers} of them need a GPU each; {why}")
    return ",".join(gpu.visible_as for gpu in gpus[:workers])


def _end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def _tail(path: Path) -> str:
    return path.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace").strip()
