"""What was measured, against what was to be reached: a table, a file of raw numbers, and the table of README.md."""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import machine
from series import Series

RESULTS = Path(__file__).parent / "results"
MAX_DISTURBANCE = 0.1
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


@dataclass(frozen=True)
class Row:
    """One line of the table. `reached` is None where nothing was to be reached, or nothing could be measured."""

    work: str
    measured: str
    target: str = ""
    reached: bool | None = None
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    failed: bool = False

    @property
    def verdict(self) -> str:
        return "" if self.reached is None else "yes" if self.reached else "**no**"


class Skipped(Exception):
    """Something cannot be measured here, and why."""


def raw(series: Mapping[str, Series]) -> dict[str, tuple[float, ...]]:
    """The numbers behind a row."""
    return {name: one.values for name, one in series.items()}


def markdown(rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = ["| work | measured | to reach | reached |", "|---|---|---|---|"]
    lines += [f"| {row.work} | {row.measured} | {row.target} | {row.verdict} |" for row in rows]
    return "\n".join(lines) + "\n"


def about(what: Mapping[str, Any]) -> str:
    """One paragraph that says what the numbers are of."""
    others = what.get("used_by_others")
    busy = "" if others is None else f"; {others:.0%} of the machine was used by other programs meanwhile"
    if others is not None and others > MAX_DISTURBANCE:
        busy += ", which makes rates and times worse than they are (ratios of one run, and CPU time, suffer least)"
    installed = {**what["versions"], **what.get("peers", {})}
    versions = ", ".join(f"{name} {version}" for name, version in installed.items())
    return (
        f"Median (least to greatest) of {what['rounds']} interleaved rounds, {what['date']}, commit {what['commit']},"
        f" {what['cores']} cores of {what['cpu']}{busy}. {versions}.\n"
    )


def save(name: str, what: Mapping[str, Any], rows: Iterable[Row], device: str = "") -> Path:
    """Write everything to `results/<date>-<name>-<machine>.json`; return the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{what['date']}-{name}-{machine.slug(device)}.json"
    whole = {**what, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def today() -> str:
    """The date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_readme(path: Path, text: str) -> str:
    """Put `text` between the two marks of a page; return what was done, for the person who asked."""
    page = path.read_text(encoding="utf-8")
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return f"{path.name} was left as it is: it lacks the marks {BEGIN} and {END}"
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")
    return f"{path.name}: the table was written"
