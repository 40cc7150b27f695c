import pickle

from dure.device.context import cpu, gpu
from dure.device.transfer import Move, transfers
from dure.transport.messages import Spent
from dure.worker.metrics import Counters


def test_figures_are_those_of_the_moment_and_travel() -> None:
    with transfers() as ledger:
        counters = Counters(ledger)
        counters.add(2, 10, Spent(compute_s=0.25, num_calls=1, stages={"tokenize": 0.125}))
        Move(cpu(), gpu(0), 40).make(int)
        found = counters.read()
        Move(cpu(), gpu(0), 40).make(int)
    counters.add(1, 1, Spent(compute_s=0.25, num_calls=1, stages={"tokenize": 0.125, "model": 0.5}))
    for figures in (found, pickle.loads(pickle.dumps(found))):
        assert (figures.num_calls, figures.num_requests, figures.num_documents) == (1, 2, 10)
        assert (figures.compute_s, figures.stages) == (0.25, {"tokenize": 0.125})
        assert figures.transfers.between(cpu(), gpu(0)).num_bytes == 40
    later = counters.read()
    assert (later.num_calls, later.num_requests, later.num_documents, later.compute_s) == (2, 3, 11, 0.5)
    assert later.stages == {"tokenize": 0.25, "model": 0.5}


def test_a_replica_that_sees_one_gpu_is_told_of_under_its_name_outside() -> None:
    with transfers() as ledger:
        counters = Counters(ledger, gpu(3))
        Move(cpu(), gpu(0), 8).make(int)
        Move(gpu(0), cpu(), 16).make(int)
        (first, second) = counters.read().transfers.routes
    assert (first.source, first.target, second.source) == (cpu(), gpu(3), gpu(3))
    assert first.where.startswith(__file__)


def test_on_the_host_nothing_is_renamed() -> None:
    for context in (None, cpu()):
        with transfers() as ledger:
            Move(cpu(), gpu(0), 8).make(int)
        assert Counters(ledger, context).read().transfers.routes == ledger.routes


def test_printing_gives_a_table() -> None:
    with transfers() as ledger:
        Move(cpu(), gpu(0), 1234).make(int)
    counters = Counters(ledger)
    counters.add(3, 96, Spent(num_calls=1, stages={"tokenize": 0.25}))
    first, head, row, _ = str(counters.read()).splitlines()
    assert first == "calls: 1, requests: 3, documents: 96, in methods: 0.000 s, tokenize: 0.250 s"
    assert head.split() == ["from", "to", "moves", "bytes", "seconds", "where"]
    assert row.split()[:4] == ["cpu(0)", "gpu(0)", "1", "1,234"]
