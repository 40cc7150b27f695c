"""Where results go: one JSON file with every figure, one text file with the tables, one page of plots.

Knows names of files; does not know what was measured.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from dure.bench.machine import name_of
from dure.device.context import parse_context


class Report(Protocol):
    """A dataclass of figures."""

    @property
    def about(self) -> dict[str, Any]:
        """What it was measured on, see `dure.bench.machine.described`."""

    @property
    def failures(self) -> list[str]:
        """What could not be measured, and why."""


def save(
    report: Report, kind: str, folder: Path, text: str, draw: Callable[[Path], object] | None, markdown: str = ""
) -> list[Path]:
    """Write a report; an earlier one of the same day and machine is replaced.

    Args:
        report: The figures.
        kind: What was measured, the second part of the files' names: `devices`, `encode-quick`.
        folder: Where to; it is made if it is not there.
        text: The tables.
        draw: Draws the plots into a file; `None` where none are wanted.
        markdown: The tables as Markdown, where they are to be had.

    Returns:
        The files.

    Raises:
        MissingDependency: Plots are wanted, but matplotlib is not installed.
    """
    contexts = [parse_context(told["device"]) for told in report.about["devices"]]
    stem = f"{report.about['date']}-{kind}-{name_of(contexts)}"
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(asdict(report), ensure_ascii=False, indent=1)  # type: ignore[call-overload]
    paths = [folder / f"{stem}.json", folder / f"{stem}.txt"]
    paths[0].write_text(figures + "\n", encoding="utf-8")
    paths[1].write_text(text + "\n", encoding="utf-8")
    if markdown:
        paths.append(folder / f"{stem}.md")
        paths[-1].write_text(markdown, encoding="utf-8")
    if draw is not None:
        paths.append(folder / f"{stem}.png")
        draw(paths[-1])
    return paths
