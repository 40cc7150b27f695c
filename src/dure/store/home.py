"""Where dure keeps what cannot be fetched again: models, and jobs that train them."""

import os
from pathlib import Path


def home_folder() -> Path:
    """Return the folder: `$DURE_HOME`, else `$XDG_DATA_HOME/dure`, else `~/.local/share/dure`. It need not exist."""
    if own := os.environ.get("DURE_HOME"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "dure"
