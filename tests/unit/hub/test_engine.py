"""What is said where no Docker Engine answers, and how a failure in the middle of its words is heard."""

import pytest

from dure.errors import BackendError
from dure.hub.engine import EngineFailure, connect, events

NOBODY = "unix:///not/there.sock"


def test_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("docker", reason="the Docker SDK is missing (dure[docker])")
    monkeypatch.setenv("DOCKER_HOST", NOBODY)
    with pytest.raises(BackendError, match=rf"no Docker Engine answers at {NOBODY} .*install it: https://"):
        connect()


def test_a_failure_stands_in_the_stream() -> None:
    told = events([{"status": "Pushing"}, {"error": "denied"}, {"status": "never read"}])
    assert next(told) == {"status": "Pushing"}
    with pytest.raises(EngineFailure, match="denied"):
        next(told)
