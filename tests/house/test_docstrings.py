"""Every example in a docstring runs, with the public names at hand."""

import doctest
import importlib

import pytest

import dure
from tests.house.sources import PACKAGE, Source, sources

WITH_EXAMPLES = [source for source in sources("src/dure") if ">>> " in source.text]


@pytest.mark.parametrize("source", WITH_EXAMPLES, ids=str)
def test_examples_run(source: Source) -> None:
    name = ".".join(source.path.relative_to(PACKAGE.parent).with_suffix("").parts)
    public = {name: getattr(dure, name) for name in dure.__all__}
    result = doctest.testmod(importlib.import_module(name), extraglobs=public)
    assert result.attempted, f"{source} has examples outside of docstrings"
    assert result.failed == 0
