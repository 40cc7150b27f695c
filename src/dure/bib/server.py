"""The BIB server: trainings, predictions or both, over gRPC, with health and reflection, on one device.

Ends in order when it is told to: new calls are refused, those under way finish. What trains, trains on.
"""

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dure.bib import predict_pb2, predict_pb2_grpc, train_pb2, train_pb2_grpc
from dure.bib.predict_provider import PredictProvider
from dure.bib.residence import Residence
from dure.bib.train_provider import TrainProvider
from dure.bib.trainings import Trainings
from dure.device.context import parse_context
from dure.device.probe import require_device
from dure.errors import SpecError
from dure.gateway.audit import Audit
from dure.gateway.grpc_guard import GrpcGuard
from dure.gateway.grpc_reflection import handlers_of
from dure.gateway.guard import Guard
from dure.gateway.tls import add_grpc_port
from dure.log import LIFECYCLE, get_logger
from dure.spec import GatewaySpec
from dure.store.store import ModelStore
from dure.transport.address import written

_FILES = {"train": train_pb2.DESCRIPTOR, "predict": predict_pb2.DESCRIPTOR}


@dataclass(frozen=True, kw_only=True)
class BibSettings:
    """What a BIB server does, and where.

    Args:
        door: Address to listen on, keys, TLS, what one client may send, and where it is written down.
        port: Port; 0 takes a free one.
        train: Whether it trains.
        predict: Whether it predicts.
        device: Where: `cpu`, `gpu`, `gpu:1`.
        max_message_bytes: The largest request that it takes; a data set travels in one.
        max_model_bytes: How much loaded models may take; half of the device's memory if not given.
        encoders: Folder of the encoders that requests may name.
        grace_s: Seconds for which calls under way may finish when it is told to end.
    """

    door: GatewaySpec
    port: int
    train: bool
    predict: bool
    device: str
    max_message_bytes: int
    max_model_bytes: int | None
    encoders: Path | None
    grace_s: float


class BibServer:
    """Listens for as long as it is open.

    Args:
        settings: What it does.
        trainings: Who trains, if it does; otherwise they are made as usual on its device.
        residence: Who holds the models.

    Raises:
        SpecError: It is to do nothing, or would serve everybody and that was not said.
        DeviceNotFound: The device is not there.
    """

    def __init__(
        self, settings: BibSettings, *, trainings: Trainings | None = None, residence: Residence | None = None
    ) -> None:
        if not settings.train and not settings.predict:
            raise SpecError(
                "train, predict: a server that does neither has nothing to do; ask for one of them, or both"
            )
        self._settings = settings
        self.port = settings.port
        self._trainings: Trainings | None = None
        self._train: TrainProvider | None = None
        self._predict: PredictProvider | None = None
        if settings.train:
            self._trainings = trainings or Trainings(settings.device, shares_cores=settings.predict)
            self._train = TrainProvider(self._trainings, settings.encoders)
        if settings.predict:
            store = ModelStore()
            self._predict = PredictProvider(store, residence or _residence(store, settings))
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        audit = settings.door.audit_file
        self._guard = Guard(settings.door, None if audit is None else Audit(Path(audit)))
        self._server = grpc.aio.server(
            interceptors=[GrpcGuard(self._guard)],
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
        )

    async def open(self) -> None:
        """Listen.

        Raises:
            StartFailed: The address is taken, or not this machine's.
            SpecError: A certificate or key that cannot be used.
        """
        names = []
        if self._train is not None:
            train_pb2_grpc.add_TrainProviderServicer_to_server(self._train, self._server)  # type: ignore[no-untyped-call]
            names.append("dure.bib.TrainProvider")
        if self._predict is not None:
            predict_pb2_grpc.add_PredictProviderServicer_to_server(self._predict, self._server)  # type: ignore[no-untyped-call]
            names.append("dure.bib.PredictProvider")
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers(handlers_of([*names, health.SERVICE_NAME], _FILES.values()))
        self.port = add_grpc_port(self._server, self._settings.door, self.port)
        await self._server.start()
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Refuse new calls, let those under way finish, end all watching."""
        await self._health.enter_graceful_shutdown()
        if self._train is not None:
            self._train.close()
        await self._server.stop(self._settings.grace_s)
        self._guard.close()
        if self._predict is not None:
            self._predict.close()
        if self._trainings is not None:
            self._trainings.close()


async def serve(settings: BibSettings) -> None:
    """Serve until the process is told to end (SIGTERM, or Ctrl-C).

    Raises:
        StartFailed: The address is taken, or not this machine's.
    """
    server = BibServer(settings)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, told.set)
    await server.open()
    does = " and ".join(name for name, wanted in (("train", settings.train), ("predict", settings.predict)) if wanted)
    address = written(settings.door.host, server.port)
    get_logger("bib").log(LIFECYCLE, "ready to %s on %s at %s", does, settings.device, address)
    await told.wait()
    get_logger("bib").log(LIFECYCLE, "ends")
    await server.close()


def _residence(store: ModelStore, settings: BibSettings) -> Residence:
    context = parse_context(settings.device)
    total = require_device(context).memory_total_bytes
    half = None if total is None else total // 2
    return Residence(store, context, settings.max_model_bytes or half)
