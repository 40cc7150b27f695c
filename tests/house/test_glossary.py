"""One word per thing: names that mean nothing, or that belong to another project, are not used."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import everything

BANNED = {"peapod", "pea", "pod", "crafter", "ctrl", "mgr", "util", "utils", "helper", "helpers"}


def defined_names(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Names this file gives; those that it uses from other libraries are not ours to choose."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node, node.name
            case ast.arg():
                yield node, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node, node.attr
            case ast.alias(asname=str() as name):
                yield node, name


def words(name: str) -> set[str]:
    """Split `PodMgr_ctrl` into pod, mgr, ctrl."""
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def test_no_banned_word_in_a_name() -> None:
    found = [
        f"{source.at(node)} {name}"
        for source in everything()
        for node, name in defined_names(source.tree)
        if words(name) & BANNED
    ]
    assert not found, f"say what it is instead: {found}"
