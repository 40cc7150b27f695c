"""For programs that serve until the benchmark, at the other end of their standard input, is gone."""

import json
import os
import sys
import threading
from typing import Any


def hold(ready: Any) -> None:
    """Say on standard output that the program is ready, and end it when standard input is closed."""
    print(json.dumps(ready), flush=True)
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    sys.stdin.read()
    os._exit(0)
