"""The service `TrainProvider`: trainings asked for and watched over gRPC."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dure.bib import train_pb2 as pb
from dure.bib import train_pb2_grpc
from dure.bib.grpc_errors import answering, streaming
from dure.bib.job import Event, Job, State
from dure.bib.metering import metered
from dure.bib.request_form import TrainRequest, examples_of, recipe_of
from dure.bib.trainings import LOOKED_AT_EVERY_S, Trainings
from dure.errors import ConnectionLost, ValidationError
from dure.store.naming import checked_name


class TrainProvider(train_pb2_grpc.TrainProviderServicer):
    """Takes trainings, and tells of them.

    Args:
        trainings: Who does them.
        encoders: Folder in which the encoders are that requests may name.
    """

    def __init__(self, trainings: Trainings, encoders: Path | None = None) -> None:
        self._trainings = trainings
        self._encoders = encoders
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all watching; trainings go on."""
        self._closing.set()

    @streaming
    async def TrainTextClassificationModel(  # noqa: N802  (gRPC's name)
        self, request: pb.TrainTextClassificationModelRequest, _context: Any
    ) -> AsyncIterator[pb.TrainProgress]:
        """Train a classifier, and tell how far it is until it is done."""
        job = await self._submit(request)
        async for progress in self._watched(job.id):
            yield progress

    @streaming
    async def TrainNamedEntityRecognitionModel(  # noqa: N802
        self, request: pb.TrainNamedEntityRecognitionModelRequest, _context: Any
    ) -> AsyncIterator[pb.TrainProgress]:
        """Train a tagger, and tell how far it is until it is done."""
        job = await self._submit(request)
        async for progress in self._watched(job.id):
            yield progress

    @streaming
    async def WatchJob(self, request: pb.WatchJobRequest, _context: Any) -> AsyncIterator[pb.TrainProgress]:  # noqa: N802
        """Tell of a job from its beginning to its end."""
        await asyncio.to_thread(self._trainings.queue.job, request.job_id)
        async for progress in self._watched(request.job_id):
            yield progress

    @answering
    async def ListJobs(self, request: pb.ListJobsRequest, _context: Any) -> pb.ListJobsResponse:  # noqa: N802
        """Tell which jobs there are."""
        states = [_state(name) for name in request.states]
        jobs = await asyncio.to_thread(self._trainings.queue.jobs, *states)
        return pb.ListJobsResponse(jobs=[await asyncio.to_thread(self._told, job) for job in jobs])

    @answering
    async def CancelJob(self, request: pb.CancelJobRequest, _context: Any) -> pb.Job:  # noqa: N802
        """Ask for the end of a job."""
        return self._told(await asyncio.to_thread(self._trainings.queue.cancel, request.job_id))

    async def _submit(self, request: TrainRequest) -> Job:
        name = checked_name(request.model_name)
        recipe = recipe_of(request, self._encoders)
        examples = examples_of(request)
        with metered(f"train {recipe.task}", [example.text for example in examples]):
            return await asyncio.to_thread(self._trainings.submit, name, recipe, examples)

    async def _watched(self, job_id: str) -> AsyncIterator[pb.TrainProgress]:
        after = 0
        while not self._closing.is_set():
            events = await asyncio.to_thread(self._trainings.queue.events, job_id, after)
            for event in events:
                after = event.number
                yield progress_of(event)
                if event.state.is_final:
                    return
            if not events:
                await asyncio.sleep(LOOKED_AT_EVERY_S)
        raise ConnectionLost(
            f"this server ends, but {job_id} trains on, or goes on with the next server: watch it there"
        )

    def _told(self, job: Job) -> pb.Job:
        return pb.Job(
            job_id=job.id,
            model_name=job.model_name,
            task=job.task,
            state=job.state,
            note=job.note,
            device=job.placed or job.device,
            created_at=job.created_at,
            num_rows=job.num_rows,
            version=job.version,
            progress=progress_of(self._trainings.queue.last_event(job.id)),
        )


def progress_of(event: Event) -> pb.TrainProgress:
    """Return an event as clients of gRPC see it."""
    return pb.TrainProgress(
        job_id=event.job_id,
        step=event.step,
        num_steps=event.num_steps,
        share=event.share,
        epoch=event.epoch,
        loss=event.loss,
        score=event.score,
        elapsed_time=event.elapsed_time_s,
        state=event.state,
        note=event.note,
        version=event.version,
    )


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as error:
        raise ValidationError(f"states: {name!r:.40} is none of {', '.join(State)}") from error
