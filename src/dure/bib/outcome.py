"""What a training came to, as a version in the store: the model, where it stood, and the card that tells of both."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from dure.learning.kinds import Examples
from dure.learning.training import Trained
from dure.store.store import ModelStore
from dure.store.version import Version

HISTORY = "history.json"
"""Where the training stood, beside the model's files."""


def publish(
    store: ModelStore, name: str, trained: Trained, parts: tuple[Examples, Examples], digest: str, **about: Any
) -> Version:
    """Publish a trained model.

    Args:
        store: Where.
        name: Under which name.
        trained: What came out.
        parts: What was learnt from, and what validated.
        digest: Of the data.
        **about: What else the card is to tell.

    Raises:
        ModelError: It cannot be kept.
    """
    card: dict[str, Any] = {
        "task": trained.model.task,
        "kind": trained.model.kind,
        "labels": list(trained.model.labels),
        # Of the model before it learnt from the validation part, where it has: what was learnt from proves nothing.
        "scores": trained.scores,
        "data": {
            "digest": digest,
            "rows": sum(map(len, parts)),
            "train": len(parts[0]),
            "validation": len(parts[1]),
            "learnt": trained.num_rows,
        },
        "recipe": trained.recipe.as_dict(),
        "seconds": trained.elapsed_time_s,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dure": version("dure"),
        **about,
    }

    def write(folder: Path) -> None:
        trained.model.save(folder)
        (folder / HISTORY).write_bytes(msgspec.json.encode([point.as_dict() for point in trained.history]))

    return store.publish(name, write, card)
