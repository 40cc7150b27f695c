"""Budgets for files and functions, and where logic may stand."""

import ast
import re

from tests.house.sources import PACKAGE, ROOT, everything, sources

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
CATCH_ALL = {"util", "utils", "helper", "helpers", "common", "misc"}


def test_files_are_short() -> None:
    lengths = {str(source): len(source.text.splitlines()) for source in everything()}
    long = [f"{path}: {n} lines" for path, n in lengths.items() if n > MAX_FILE_LINES]
    assert not long, f"over {MAX_FILE_LINES} lines; split by a noun: {long}"


def test_functions_are_short() -> None:
    long = [
        f"{source.at(node)} {node.name}"
        for source in everything()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}"


def test_files_are_named_by_a_noun() -> None:
    paths = [source.path.relative_to(ROOT).with_suffix("") for source in everything()]
    vague = [str(p) for p in paths if CATCH_ALL & set(re.split(r"[/_]", p.as_posix()))]
    assert not vague, f"name what the file holds instead: {vague}"


def test_packages_hold_no_logic() -> None:
    facade = PACKAGE / "__init__.py"  # the public names, imported on first use
    full = [
        str(source)
        for source in sources("src/dure")
        if source.path.name == "__init__.py"
        and source.path != facade
        and (len(source.tree.body) != 1 or ast.get_docstring(source.tree) is None)
    ]
    assert not full, f"an __init__.py holds its docstring and nothing else: {full}"
