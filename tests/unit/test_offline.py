"""Whether anything may be fetched is one variable, and one that cannot be read is no quiet yes."""

import pytest

from dure.errors import SpecError
from dure.offline import VARIABLE, is_offline


@pytest.mark.parametrize(("value", "offline"), [("", False), ("0", False), ("1", True), ("true", True), ("No", False)])
def test_it_says_what_it_is(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert is_offline() is offline
    monkeypatch.delenv(VARIABLE)
    assert not is_offline()


def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "please")
    with pytest.raises(SpecError, match="'please' is neither 1"):
        is_offline()
