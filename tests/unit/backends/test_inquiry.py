"""What replicas say that they have done. The workers are the other ends of real pipes."""

import threading
from typing import Any

import pytest

from dure.backends import inquiry as inquiry_module
from dure.backends.inquiry import Inquiry
from dure.errors import BackendError
from dure.transport.control import Control
from tests.unit.backends.test_pulse import Child
from tests.unit.backends.test_slot import slot


def test_each_replica_is_asked_and_late_answers_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry_module, "_ANSWER_S", 0.05)
    ours, theirs = Control.pair()
    place: Any = slot()
    place.child, place.ready, place.wanted = Child(ours), True, True
    inquiry = Inquiry(threading.Condition())
    with pytest.raises(BackendError, match="encoder: no figures within"):
        inquiry.ask([place])
    first = theirs.receive()
    inquiry.answered(place, {"metrics": first + 1, "figures": "of another question"})
    assert place.asked == first
    inquiry.answered(place, {"metrics": first, "figures": "too late, but kept"})

    def answer() -> None:
        inquiry.answered(place, {"metrics": theirs.receive(), "figures": "what it did"})

    monkeypatch.setattr(inquiry_module, "_ANSWER_S", 5.0)
    worker = threading.Thread(target=answer)
    worker.start()
    found: dict[str, Any] = dict(inquiry.ask([place]))
    assert found == {"encoder": "what it did"}
    worker.join()
    ours.close()
    theirs.close()
