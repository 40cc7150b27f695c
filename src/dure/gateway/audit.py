"""A line of JSON for each request: who asked for what, and what became of it. Never contents, never secrets.

Written by the gateway, in pieces, at most a second late. Knows nothing of requests.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dure.errors import StartFailed
from dure.log import get_logger

_WAIT_S = 1.0
_MANY = 1000
_MAX_TEXT = 200


class Entry(msgspec.Struct, kw_only=True):
    """One request. `seconds` is from when it was there until it was answered; `outcome` is `ok` or an error's code."""

    at: str = ""
    key: str
    address: str
    protocol: str
    endpoint: str
    rows: int
    outcome: str
    seconds: float


class Audit:
    """The file.

    Args:
        path: Lines are put behind what it holds; made for this user alone if it is not there.

    Raises:
        StartFailed: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartFailed(f"audit_file: {path} cannot be written: {error.strerror}") from error
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encode = msgspec.json.Encoder().encode

    def write(self, entry: Entry) -> None:
        """Keep an entry."""
        entry.at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry.endpoint = entry.endpoint[:_MAX_TEXT]
        self._lines.append(self._encode(entry))
        if len(self._lines) >= _MANY:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self.flush)

    def flush(self) -> None:
        """Write what is kept."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        try:
            if lines:
                os.write(self._file, b"\n".join(lines) + b"\n")
        except OSError as error:
            get_logger("gateway").error("audit_file: %d lines are lost: %s", len(lines), error)

    def close(self) -> None:
        """Write what is kept, and close the file."""
        self.flush()
        os.close(self._file)
