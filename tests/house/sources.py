"""The project's own Python files, parsed once for all house tests.

Leaves out generated stubs and the templates that `dure hub new` copies.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dure"


@dataclass(frozen=True)
class Source:
    path: Path
    text: str
    tree: ast.Module

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def at(self, node: ast.AST) -> str:
        """Where a node stands, in the form editors and terminals open: `src/dure/spec.py:12`."""
        return f"{self}:{getattr(node, 'lineno', 1)}"


def is_ours(path: Path) -> bool:
    return "_pb2" not in path.stem and not {"templates", "__pycache__"} & set(path.parts)


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file under these folders of the project, in order of path."""
    paths = sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py") if is_ours(p))
    texts = [(path, path.read_text(encoding="utf-8")) for path in paths]
    return tuple(Source(path, text, ast.parse(text, str(path))) for path, text in texts)


@cache
def everything() -> tuple[Source, ...]:
    """Every Python file of the project."""
    return sources("src/dure", "tests", "examples", "benchmarks")
