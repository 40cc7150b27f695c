"""For programs that serve until the benchmark, at the other end of their standard input, is gone."""

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any


def hold(ready: Any) -> None:
    """Say on standard output that the program is ready, and end it when standard input is closed."""
    print(json.dumps(ready), flush=True)
    _when_alone(lambda: os._exit(0))


def terminate_when_alone() -> None:
    """Ask the program to end, as a person would, when standard input is closed."""
    _when_alone(lambda: os.kill(os.getpid(), signal.SIGTERM))


def _when_alone(end: Callable[[], None]) -> None:
    def wait() -> None:
        # Not by sys.stdin: a process that is forked meanwhile would inherit its lock as taken.
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=wait, daemon=True).start()
