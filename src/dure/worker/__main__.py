"""The program of one replica: read what to host from the private pipe, construct it, serve until told to stop.

Ends with its parent, however that ends and whatever it is doing: the private pipe closes with the parent. With
`--listen HOST:PORT` it is in a container: pipe and wire are connections to that port, from who knows the token. On
another machine (address `tcp://HOST:0`) the wire alone is.
"""

import asyncio
import contextlib
import faulthandler
import gc
import importlib.metadata
import os
import signal
import sys
from pathlib import Path

import msgspec

from dure.device.transfer import transfers
from dure.document.array import DocumentArray
from dure.document.forms import COLUMNS, decode_form, encode_form
from dure.executor.base import Executor
from dure.executor.chain import Chain
from dure.log import LIFECYCLE, get_logger
from dure.transport.address import listening_socket
from dure.transport.control import Control
from dure.transport.door import TCP, Purpose
from dure.transport.failure import take_apart
from dure.worker.assignment import ALIVE, Assignment
from dure.worker.cache import AnswerCache
from dure.worker.call_threads import CallThreads
from dure.worker.construction import constructed
from dure.worker.metrics import Counters
from dure.worker.plain_control import Hello, worker_end
from dure.worker.reception import Reception
from dure.worker.runner import Runner
from dure.worker.server import WorkerServer

_DEVICE_LOST = 69  # the exit code "a service is unavailable" of sysexits.h


def main() -> None:
    """Run the worker."""
    faulthandler.enable()
    # The terminal's Ctrl-C is for the parent, which stops its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reception = Reception(sys.argv[2]) if sys.argv[1:2] == ["--listen"] else None
    control = Control.of_child() if reception is None else _control_at(reception)
    assignment = control.receive()
    if not isinstance(assignment, Assignment):
        return
    with transfers() as ledger:
        counters = Counters(ledger, assignment.context)
        control.stand_by(
            lambda question: ALIVE if question == ALIVE else {"metrics": question, "figures": counters.read()}
        )
        try:
            if assignment.sys_path:
                sys.path[:] = assignment.sys_path
            if assignment.address.startswith(TCP):
                reception = Reception(assignment.address.removeprefix(TCP))
                assignment = msgspec.structs.replace(assignment, address=TCP + reception.address)
            executor = _construct(assignment)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is told to the parent
            with contextlib.suppress(OSError):
                control.send({"failed": take_apart(error)})
            sys.exit(1)
        try:
            cache = AnswerCache(assignment.cache_size) if assignment.cache_size else None
            runner = Runner(executor, assignment.name, counters, cache)
            _serve(executor, assignment, control, runner, reception)
        finally:
            executor.close()


def _control_at(reception: Reception) -> Control:
    control = worker_end(reception.wait_for(Purpose.CONTROL), reception.wait_for(Purpose.LIFELINE))
    control.send(Hello(importlib.metadata.version("dure")))
    return control


def _construct(assignment: Assignment) -> Executor:
    told = assignment.device, assignment.replica, assignment.replicas
    made = {hosted.name: constructed(hosted, *told) for hosted in assignment.hosted}
    executor = Chain(made) if len(made) > 1 else next(iter(made.values()))
    executor.warm_up()
    decode_form(COLUMNS, b"".join(encode_form(COLUMNS, DocumentArray())))  # so that the first request imports nothing
    return executor


def _serve(
    executor: Executor, assignment: Assignment, control: Control, runner: Runner, reception: Reception | None
) -> None:
    import uvloop

    logger = get_logger(assignment.name)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        threads = CallThreads(assignment.concurrency) if assignment.concurrency > 1 else None
        server = WorkerServer(runner, assignment.name, executor.requests, threads, stop.set)
        listener: Reception | asyncio.Server
        if reception is None:
            sock = listening_socket(Path(assignment.address))
            listener = await loop.create_unix_server(server.connection, sock=sock)
        else:
            listener = reception
            reception.serve(server.connection)
        control.send({"ready": assignment.address})
        logger.log(LIFECYCLE, "ready and listening")
        gc.freeze()  # the model and the libraries stay; no collection need look at them again
        await stop.wait()
        listener.close()
        await server.drain()
        if threads is not None and not runner.lost:
            threads.close()
        if runner.lost:
            logger.error("%s This process ends, and another takes its place.", runner.lost)
            os._exit(_DEVICE_LOST)  # at once: what would tidy up might use, or wait for, the device

    os.register_at_fork(after_in_child=_leave_loop)
    uvloop.run(run())


def _leave_loop() -> None:
    # A process that user code forks shares the socket by which signals reach the loop: ended with SIGTERM, as a pool
    # ends its processes, it would stop this worker.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    main()
