"""The Executor that takes trainings: the documents of a request are the data set.

Knows documents and parameters; what a training is, and who does it, `trainings.py` knows.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from dure.bib.callers_fault import callers_fault
from dure.bib.data_set import Examples, TaggedTokens, labelled, tagged
from dure.bib.encoders import encoder_folder
from dure.bib.job import Job, State
from dure.bib.trainings import LOOKED_AT_EVERY_S, Trainings
from dure.dataset.example import Span
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.errors import ValidationError
from dure.executor.base import Executor
from dure.executor.endpoints import requests
from dure.learning.recipe import Recipe
from dure.store.naming import checked_name


class TrainParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How a model is trained; what is not given is as the model likes it.

    Args:
        model_name: Under which it is published; a name that is there gets a new version.
        task: `tc`, text classification, or `ner`, named entities.
        epochs: How often every document is seen.
        train_rate: Share of the documents that is learnt from, above 0 and below 1; the rest validates.
        seed: Another one gives another split and another model.
        batch_size: Documents of one pass through the model.
        accumulate: Passes that make one step of the optimiser.
        learning_rate: Of the optimiser.
        patience: Epochs without a better score after which training ends.
        class_weights: `balanced`: rare classes count as much as common ones.
        precision: Of matrix products on a GPU, for encoders.
        encoder: Name of an encoder in the Executor's folder of them.
    """

    model_name: str
    task: Literal["tc", "ner"] = "tc"
    epochs: int | None = None
    train_rate: float | None = None
    seed: int | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    learning_rate: float | None = None
    patience: int | None = None
    class_weights: Literal["none", "balanced"] | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    encoder: str | None = None


class JobParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which job is meant."""

    job_id: str


class JobsParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs are meant: those in one of these states, or all."""

    states: list[State] = []


class Trainer(Executor):
    """Trains models on the documents that it is given, each training in a process of its own.

    For `tc` a document has its `text` and `tags["label"]`; for `ner` its `text` and `tags["entities"]`, a list of
    `{"start", "end", "type"}` in characters, or `tags["tokens"]` and `tags["tags"]`. All documents of a request are one
    data set: a client that sends many sets `request_size`.

    Args:
        device: Where to train: `cpu`, `gpu`, `gpu:1`.
        home: Where jobs and models are kept, instead of DURE_HOME.
        encoders: Folder of the encoders that requests may name.
        **kwargs: Those of `Executor`.

    Raises:
        DeviceNotFound: The device is not there.
    """

    def __init__(
        self, device: str = "cpu", home: str | None = None, encoders: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._encoders = None if encoders is None else Path(encoders)
        self._trainings = self._begun(device, None if home is None else Path(home))

    def _begun(self, device: str, home: Path | None) -> Trainings:
        return Trainings(device, home, shares_cores=True)

    @requests(on="/train")
    async def train(self, docs: DocumentArray, parameters: TrainParameters) -> dict[str, Any]:
        """Take a training into the queue and return its job; it goes on whoever watches."""
        with callers_fault():
            return _told(await asyncio.to_thread(self._submit, docs, parameters))

    @requests(on="/jobs")
    async def jobs(self, docs: DocumentArray, parameters: JobsParameters) -> dict[str, Any]:
        """List jobs, the oldest first, with how far they are."""
        return {"jobs": await asyncio.to_thread(self._list, parameters.states)}

    @requests(on="/watch")
    async def watch(self, docs: DocumentArray, parameters: JobParameters) -> AsyncIterator[Document]:
        """Yield what is told of a job, from its beginning to its end, as it comes: the tags of a document each."""
        queue = self._trainings.queue
        with callers_fault():
            await asyncio.to_thread(queue.job, parameters.job_id)
        after = 0
        while True:
            events = await asyncio.to_thread(queue.events, parameters.job_id, after)
            for event in events:
                after = event.number
                yield Document(text=event.note, tags=msgspec.to_builtins(event))
                if event.state.is_final:
                    return
            if not events:
                await asyncio.sleep(LOOKED_AT_EVERY_S)

    @requests(on="/cancel")
    async def cancel(self, docs: DocumentArray, parameters: JobParameters) -> dict[str, Any]:
        """Ask for the end of a job and return it."""
        with callers_fault():
            return _told(await asyncio.to_thread(self._trainings.queue.cancel, parameters.job_id))

    def close(self) -> None:
        """Start nothing more; what trains trains on."""
        self._trainings.close()

    def _submit(self, docs: DocumentArray, parameters: TrainParameters) -> Job:
        values = {name: value for name, value in msgspec.structs.asdict(parameters).items() if value is not None}
        name = checked_name(values.pop("model_name"))
        if parameters.encoder is not None:
            values["encoder"] = str(encoder_folder(parameters.encoder, self._encoders))
        recipe = Recipe.from_dict(values)
        return self._trainings.submit(name, recipe, _examples(docs, parameters.task))

    def _list(self, states: list[State]) -> list[dict[str, Any]]:
        queue = self._trainings.queue
        return [
            {**_told(job), "progress": msgspec.to_builtins(queue.last_event(job.id))} for job in queue.jobs(*states)
        ]


def _told(job: Job) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(job)
    return {"job_id": fields.pop("id"), **fields}


def _examples(docs: DocumentArray, task: str) -> Examples:
    rows = list(zip(docs.texts, docs.tags, strict=True))
    if task == "tc":
        return labelled((text or "", _label(tags)) for text, tags in rows)
    return tagged(_tagged(text or "", tags, number) for number, (text, tags) in enumerate(rows))


def _label(tags: dict[str, Any]) -> str:
    label = tags.get("label")
    return "" if label is None else str(label)


def _tagged(text: str, tags: dict[str, Any], number: int) -> "tuple[str, list[Span]] | TaggedTokens":
    try:
        if "tokens" in tags:
            return msgspec.convert(tags, TaggedTokens)
        return text, msgspec.convert(tags.get("entities", []), list[Span])
    except msgspec.ValidationError as error:
        raise ValidationError(f"data_set[{number}]: tags: {error}") from error
