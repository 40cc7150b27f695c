"""One line per event on standard error, in the tutorial's form: `  executor0@26554[L]:ready and listening`.

Sends nothing anywhere else; a process sets its level once, from DURE_LOG_LEVEL (debug, info, warning, error).
"""

import logging
import os
import re

_SECRET = re.compile(r"(dure_[0-9a-f]{16}_)[\w-]{20,}")
_LETTERS = {logging.DEBUG: "D", logging.INFO: "I", 25: "L", logging.WARNING: "W", logging.ERROR: "E"}
LIFECYCLE = 25
"""Between INFO and WARNING: a process became ready or went away."""


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        letter = _LETTERS.get(record.levelno, "?")
        name = record.name.removeprefix("dure.")
        text = f"{name:>15}@{record.process}[{letter}]:{record.getMessage()}"
        text = f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
        return _SECRET.sub(r"\1…", text)  # API keys never stand in a log


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a part of dure (`gateway`, `executor0`), writing to standard error."""
    root = logging.getLogger("dure")
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_Line())
        root.addHandler(handler)
        root.propagate = False
        root.setLevel(os.environ.get("DURE_LOG_LEVEL", "info").upper())
    return root.getChild(name)
