"""The defaults of settings stand in spec.py and nowhere else."""

import ast
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec

from dure import spec
from tests.house.sources import PACKAGE, sources

NUMBER = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.unaryop, ast.operator)


def numeric_settings() -> set[str]:
    records = [v for v in vars(spec).values() if isinstance(v, type) and issubclass(v, msgspec.Struct)]
    hints = {name: hint for record in records for name, hint in get_type_hints(record).items()}
    return {name for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}}


def is_number(node: ast.expr | None) -> bool:
    """Whether this is a number in so many words, such as 64 * 2**20."""
    parts = [] if node is None else list(ast.walk(node))
    values = [type(part.value) for part in parts if isinstance(part, ast.Constant)]
    return all(isinstance(part, NUMBER) for part in parts) and bool({int, float} & set(values))


def defaults(tree: ast.Module) -> Iterator[tuple[ast.AST, str, ast.expr | None]]:
    """Every parameter of a function and annotated field of a class, with its default."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            placed = [*node.posonlyargs, *node.args]
            bare = [None] * (len(placed) - len(node.defaults))
            named = zip(
                [*placed, *node.kwonlyargs],
                [*bare, *node.defaults, *node.kw_defaults],
                strict=True,
            )
            yield from ((argument, argument.arg, default) for argument, default in named)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node, node.target.id, node.value


def test_no_default_of_a_setting_outside_spec() -> None:
    names = numeric_settings()
    assert {"replicas", "port", "timeout_ready_s"} <= names
    found = [
        f"{source.at(node)} {name}"
        for source in sources("src/dure")
        for node, name, default in defaults(source.tree)
        if source.path != PACKAGE / "spec.py" and name in names and is_number(default)
    ]
    assert not found, f"take it from the record of spec.py: {found}"
