"""A map on this machine: a Flow of the one Executor, several parts on their way through it at a time.

Memory is bounded by the parts under way: each is read, answered, written and forgotten. Knows no files' forms.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from dure.bulk.answers import Answers
from dure.bulk.job import Done, Job
from dure.bulk.part import MAX_ATTEMPTS, Part, located
from dure.bulk.reading import Reader
from dure.client.client import Client
from dure.client.results import Results
from dure.document.array import DocumentArray
from dure.errors import Cancelled, DureError
from dure.flow.flow import Flow
from dure.flow.plan import most_replicas
from dure.log import get_logger

_READY = 2  # parts that are read or written while others are with the Executor


def run_local(job: Job, missing: list[Part], done: Done) -> None:
    """Do the parts that are missing.

    Raises:
        DureError: The first that went wrong; the parts that are done stay.
    """
    fields = {name: getattr(job.executor, name) for name in job.executor.__struct_fields__ if name != "needs"}
    reader = Reader(job.source, job.spec.text)
    under_way: set[Future[Part]] = set()
    count = num_under_way(job)
    with ThreadPoolExecutor(count, "part") as pool, Flow().add(**fields) as flow:
        asked = _Asked(job, Client(flow.host, flow.port, request_size=job.spec.request_size))
        try:
            for part in missing:
                if len(under_way) == count:
                    under_way = _await(under_way, done)
                under_way.add(pool.submit(asked.answer, part, reader.read(part)))
            while under_way:
                under_way = _await(under_way, done)
        finally:
            asked.stop()
            wait(under_way)
            reader.close()


def num_under_way(job: Job) -> int:
    """Return how many parts keep every replica busy: two requests for each call that may run, and those beside."""
    requests = 2 * most_replicas(job.executor) * job.executor.concurrency
    return _READY + -(-requests * job.spec.request_size // job.spec.part_rows)


def _await(under_way: set[Future[Part]], done: Done) -> set[Future[Part]]:
    finished, rest = wait(under_way, return_when=FIRST_COMPLETED)
    for future in finished:
        done(future.result())
    return rest


class _Asked:
    """The Flow as it is asked, from several threads."""

    def __init__(self, job: Job, client: Client) -> None:
        self._job = job
        self._client = client
        self._stopped = False

    def answer(self, part: Part, documents: DocumentArray) -> Part:
        """Have the rows of a part answered, and write it."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                whole = self._answers(part, documents)
                break
            except DureError as error:
                if not error.retryable or attempt == MAX_ATTEMPTS or self._stopped:
                    raise
                get_logger("map").warning("%s; begun again (%d of %d)", error, attempt + 1, MAX_ATTEMPTS)
        self._job.folder.write(part, whole)
        return part

    def _answers(self, part: Part, documents: DocumentArray) -> DocumentArray:
        answers = Answers(part, documents, self._job.spec.request_size)

        def take(results: Results) -> None:
            if self._stopped:
                raise Cancelled("stopped")
            if results.failures:
                raise results.failures[0].error
            answers.add(results)

        try:
            self._client.post(self._job.on, documents, parameters=self._job.spec.parameters, on_always=take)
        except DureError as error:
            raise located(error, answers.where()) from error
        return answers.whole()

    def stop(self) -> None:
        """Have whatever is under way end at its next answer."""
        self._stopped = True
        self._client.close()
