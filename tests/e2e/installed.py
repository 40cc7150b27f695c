"""Clients of other languages that tests call a Flow with: where `tests/clients/install.sh` puts them."""

import os
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dure" / "clients"
PERF_ANALYZER = FOLDER / "perf" / "bin" / "perf_analyzer"
REASON = "not there: bash tests/clients/install.sh"

needs_javascript = pytest.mark.skipif(
    not (FOLDER / "package.json").is_file()
    or (FOLDER / "package.json").read_bytes() != (CLIENTS / "package.json").read_bytes(),
    reason=f"packages for node {REASON}",
)
needs_perf_analyzer = pytest.mark.skipif(not PERF_ANALYZER.is_file(), reason=f"perf_analyzer {REASON}")
