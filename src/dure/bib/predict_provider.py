"""The service `PredictProvider`: models asked, listed, loaded and named over gRPC."""

import asyncio
from itertools import chain
from typing import Any

import msgspec

from dure.bib import predict_pb2 as pb
from dure.bib import predict_pb2_grpc
from dure.bib.batcher import Answer, Batcher
from dure.bib.grpc_errors import answering
from dure.bib.metering import metered
from dure.bib.residence import Residence
from dure.dataset.dataset import Task
from dure.store.store import ModelStore
from dure.store.version import Version


class PredictProvider(predict_pb2_grpc.PredictProviderServicer):
    """Answers with what models say.

    Args:
        store: The models.
        residence: Those of them that are in memory.
    """

    def __init__(self, store: ModelStore, residence: Residence) -> None:
        self._store = store
        self._residence = residence
        self._batcher = Batcher(residence)

    def close(self) -> None:
        """Wait for what is under way."""
        self._batcher.close()

    @answering
    async def PredictTextClassification(  # noqa: N802  (gRPC's name)
        self, request: pb.PredictTextClassificationRequest, _context: Any
    ) -> pb.PredictTextClassificationResponse:
        """Return the class of each text."""
        answer = await self._ask(request, "tc")
        response = pb.PredictTextClassificationResponse(
            model=str(answer.version),
            labels=[said.label for said in answer.predictions],
            scores=[said.score for said in answer.predictions],
            classes=answer.labels,
            load_time=answer.load_time_s,
            predict_time=answer.predict_time_s,
        )
        if not request.without_probabilities:  # which are in the order of the labels
            response.probabilities.extend(
                chain.from_iterable(said.probabilities.values() for said in answer.predictions)
            )
        return response

    @answering
    async def PredictNamedEntityRecognition(  # noqa: N802
        self, request: pb.PredictNamedEntityRecognitionRequest, _context: Any
    ) -> pb.PredictNamedEntityRecognitionResponse:
        """Return the entities of each text."""
        answer = await self._ask(request, "ner")
        entity = pb.PredictedEntity
        return pb.PredictNamedEntityRecognitionResponse(
            model=str(answer.version),
            results=[
                pb.TextEntities(
                    entities=[
                        entity(text=one.text, type=one.type, start=one.start, end=one.end, score=one.score)
                        for one in found
                    ]
                )
                for found in answer.predictions
            ],
            load_time=answer.load_time_s,
            predict_time=answer.predict_time_s,
        )

    @answering
    async def ListModels(self, _request: pb.ListModelsRequest, _context: Any) -> pb.ListModelsResponse:  # noqa: N802
        """Tell which versions there are."""
        return await asyncio.to_thread(self._list)

    @answering
    async def LoadModel(self, request: pb.ModelRequest, _context: Any) -> pb.LoadModelResponse:  # noqa: N802
        """Have a model in memory before it is asked."""
        lease = await asyncio.to_thread(self._residence.take, request.model)
        self._residence.give_back(lease)
        return pb.LoadModelResponse(model=str(lease.version), load_time=lease.load_time_s)

    @answering
    async def UnloadModel(self, request: pb.ModelRequest, _context: Any) -> pb.UnloadModelResponse:  # noqa: N802
        """Have a model out of memory."""
        gone = await asyncio.to_thread(self._residence.unload, request.model)
        return pb.UnloadModelResponse(models=[str(version) for version in gone])

    @answering
    async def DescribeModel(self, request: pb.ModelRequest, _context: Any) -> pb.ModelVersion:  # noqa: N802
        """Tell what is known of a version."""
        return self._told(await asyncio.to_thread(self._store.resolve, request.model), self._loaded())

    @answering
    async def DeleteModel(self, request: pb.DeleteModelRequest, _context: Any) -> pb.DeleteModelResponse:  # noqa: N802
        """Remove a version, or a model with all of them, from disk and memory."""
        return await asyncio.to_thread(self._delete, request)

    @answering
    async def SetAlias(self, request: pb.SetAliasRequest, _context: Any) -> pb.ModelVersion:  # noqa: N802
        """Have an alias mean a version."""
        await asyncio.to_thread(self._store.alias, request.name, request.alias, request.version)
        found = await asyncio.to_thread(self._store.resolve, f"{request.name}@{request.alias}")
        return self._told(found, self._loaded())

    async def _ask(
        self, request: pb.PredictTextClassificationRequest | pb.PredictNamedEntityRecognitionRequest, task: Task
    ) -> Answer:
        texts = list(request.texts)
        with metered(f"predict {task}", texts):
            return await self._batcher.predict(request.model, texts, task)

    def _list(self) -> pb.ListModelsResponse:
        loaded = self._loaded()
        found = [version for name in self._store.names() for version in self._store.versions(name)]
        return pb.ListModelsResponse(models=[self._told(version, loaded) for version in found])

    def _delete(self, request: pb.DeleteModelRequest) -> pb.DeleteModelResponse:
        gone = self._store.delete(request.model, with_aliases=request.with_aliases)
        for version in gone:
            self._residence.unload(str(version))
        return pb.DeleteModelResponse(models=[str(version) for version in gone])

    def _loaded(self) -> set[str]:
        return {str(version) for version in self._residence.loaded()}

    def _told(self, version: Version, loaded: set[str]) -> pb.ModelVersion:
        card = version.card
        return pb.ModelVersion(
            name=version.name,
            version=version.number,
            aliases=version.aliases,
            task=card.get("task", ""),
            kind=card.get("kind", ""),
            labels=card.get("labels", []),
            scores=card.get("scores", {}),
            created=card.get("created", ""),
            size_bytes=version.size_bytes,
            loaded=str(version) in loaded,
            card=msgspec.json.encode(card).decode(),
        )
