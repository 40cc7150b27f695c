"""A BIB server in this process, whose trainings are those of the smallest learner, for tests of what is around them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from dure.bib.foreman import Workshop
from dure.bib.residence import Residence
from dure.bib.server import BibServer, BibSettings
from dure.bib.trainings import Trainings
from dure.device.context import Context
from dure.learning.model import Model
from dure.spec import GatewaySpec
from dure.store.store import ModelStore
from tests.house.sources import ROOT
from tests.unit.learning.tiny_learner import TinyModel

TINY = (sys.executable, str(ROOT / "tests" / "tiny_worker.py"))
ROWS = [
    {"text": f"w{number % 7} {word}", "label": label}
    for number in range(20)
    for word, label in (("bread", "food"), ("storm", "rain"))
]


def tiny_workshop(home: Path, **settings: Any) -> Workshop:
    return Workshop(models=home / "models", command=TINY, **settings)


def load_tiny(folder: Path, context: Context) -> Model:
    return cast("Model", TinyModel.load(folder, context))


def settings(**changed: Any) -> BibSettings:
    usual: dict[str, Any] = {
        "door": GatewaySpec(),
        "port": 0,
        "train": True,
        "predict": True,
        "device": "cpu",
        "max_message_bytes": 2**20,
        "max_model_bytes": None,
        "encoders": None,
        "grace_s": 5.0,
    }
    return BibSettings(**{**usual, **changed})


@asynccontextmanager
async def tiny_bib(home: Path, **changed: Any) -> AsyncIterator[str]:
    """Serve from a home folder; give the address."""
    store = ModelStore(home / "models")
    trainings = Trainings(home=home, workshop=tiny_workshop(home))
    server = BibServer(settings(**changed), trainings=trainings, residence=Residence(store, load=load_tiny))
    await server.open()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.close()
