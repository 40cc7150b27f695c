"""The public names."""

import pytest

import dure


def test_exports_are_sorted_and_unique() -> None:
    assert dure.__all__ == sorted(set(dure.__all__))


@pytest.mark.parametrize("name", dure.__all__)
def test_export_is_importable_and_documented(name: str) -> None:
    assert (getattr(dure, name).__doc__ or "").strip(), f"dure.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = dure.no_such_name
