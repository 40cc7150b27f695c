"""The Executor that answers with what trained models say, and looks after those in its memory.

Knows documents and parameters; which version a name means, and what is in memory, `residence.py` knows.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from dure.bib.callers_fault import callers_fault
from dure.bib.residence import Residence
from dure.device.context import Context, parse_context
from dure.device.probe import require_device
from dure.document.array import DocumentArray
from dure.errors import ValidationError
from dure.executor.base import Executor
from dure.executor.endpoints import batching, requests
from dure.store.store import ModelStore
from dure.store.version import Version

if TYPE_CHECKING:
    from dure.learning.prediction import Classification


class PredictParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked.

    Args:
        model: `m` (its newest version), `m@3` or `m@prod`; the Executor's own if not given.
        probabilities: Whether the probability of every class is told, not of the likeliest alone.
    """

    model: str = ""
    probabilities: bool = True


class ModelParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which model is meant: `m`, `m@3` or `m@prod`."""

    model: str


class DeleteParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be deleted: `m@3` is that version, `m` all of them; and whether aliases of it go too."""

    model: str
    with_aliases: bool = False


class Predictor(Executor):
    """Says what a trained model makes of the text of every document.

    A classifier sets `tags["label"]`, `tags["score"]` and `tags["probabilities"]`; a tagger sets `tags["entities"]`, a
    list of `{"text", "type", "start", "end", "score"}` in characters. Other tags stay. What a model's name means is
    looked up for every request; while a new version is loaded, the one before answers.

    Args:
        model: What is asked where a request names none; it is loaded at the start.
        device: Where models live: `cpu`, `gpu`, `gpu:1`.
        home: Where models are kept, instead of DURE_HOME.
        max_model_bytes: How much loaded models may take; half of the device's memory if not given.
        **kwargs: Those of `Executor`.

    Raises:
        DeviceNotFound: The device is not there.
        ModelNotFound: The model is not there.
    """

    def __init__(
        self,
        model: str = "",
        device: str = "cpu",
        home: str | None = None,
        max_model_bytes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        context = parse_context(device)
        total = require_device(context).memory_total_bytes
        half = None if total is None else total // 2
        self._model = model
        self._store = ModelStore(None if home is None else Path(home) / "models")
        self._residence = self._moved_in(context, max_model_bytes or half)
        if model:
            with self._residence.lease(model) as lease:
                lease.model.predict(["The first call of a model is slow: this is it."])

    def _moved_in(self, context: Context, max_bytes: int | None) -> Residence:
        return Residence(self._store, context, max_bytes)

    @requests(on="/predict")
    @batching(max_batch_size=1024)
    def predict(self, docs: DocumentArray, parameters: PredictParameters) -> None:
        """Set the tags of every document to what the model says of its text."""
        reference = parameters.model or self._model
        with callers_fault():
            if not reference:
                raise ValidationError("model: which one is to be asked? Name it, as in 'm', 'm@3' or 'm@prod'")
            lease = self._residence.take(reference)
        try:
            found = lease.model.predict([text or "" for text in docs.texts])
        finally:
            self._residence.give_back(lease)
        if lease.model.task == "ner":
            told = [_entities(one) for one in found]
        else:
            say = _with_probabilities if parameters.probabilities else _label_alone
            told = [say(one) for one in cast("list[Classification]", found)]
        docs.tags = [{**tags, **said} for tags, said in zip(docs.tags, told, strict=True)]

    @requests(on="/models")
    def models(self, docs: DocumentArray, **_: Any) -> dict[str, Any]:
        """List the versions of all models, and which of them are in memory."""
        versions = [version for name in self._store.names() for version in self._store.versions(name)]
        return {"models": [self._told(version) for version in versions]}

    @requests(on="/describe")
    def describe(self, docs: DocumentArray, parameters: ModelParameters) -> dict[str, Any]:
        """Tell what is known of a version."""
        with callers_fault():
            return self._told(self._store.resolve(parameters.model))

    @requests(on="/load")
    def load(self, docs: DocumentArray, parameters: ModelParameters) -> dict[str, Any]:
        """Have a model in memory before it is asked."""
        with callers_fault(), self._residence.lease(parameters.model) as lease:
            return {"model": str(lease.version), "load_time_s": lease.load_time_s}

    @requests(on="/unload")
    def unload(self, docs: DocumentArray, parameters: ModelParameters) -> dict[str, Any]:
        """Have a model out of memory."""
        with callers_fault():
            return {"models": [str(version) for version in self._residence.unload(parameters.model)]}

    @requests(on="/delete")
    def delete(self, docs: DocumentArray, parameters: DeleteParameters) -> dict[str, Any]:
        """Remove a version, or a model with all of them, from disk and memory."""
        with callers_fault():
            gone = self._store.delete(parameters.model, with_aliases=parameters.with_aliases)
        for version in gone:
            self._residence.unload(str(version))
        return {"models": [str(version) for version in gone]}

    def _told(self, version: Version) -> dict[str, Any]:
        loaded = str(version) in map(str, self._residence.loaded())
        about = {"name": version.name, "version": version.number, "aliases": list(version.aliases), "loaded": loaded}
        return {**version.card, **about}


def _with_probabilities(said: "Classification") -> dict[str, Any]:
    return {"label": said.label, "score": said.score, "probabilities": said.probabilities}


def _label_alone(said: "Classification") -> dict[str, Any]:
    return {"label": said.label, "score": said.score}


def _entities(found: Any) -> dict[str, Any]:
    return {"entities": [msgspec.to_builtins(entity) for entity in found]}
