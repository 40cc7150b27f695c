"""What a request costs, in every way that it can be told."""

from typing import Any

import pytest

from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import COLUMNS, PROTOBUF, encode_form
from dure.errors import DecodeError, ExecutorError, SpecError, ValidationError
from dure.gateway.cost import assess, cost_function
from dure.gateway.job import Job
from dure.spec import BatchSpec

COSTS = "tests.unit.gateway.costs"
FORMS = pytest.mark.parametrize("form", [COLUMNS, PROTOBUF])


def request(*texts: str, form: str = COLUMNS, branches: int = 1) -> Job:
    documents = DocumentArray(Document(text=text) for text in texts)
    payloads: list[Any] = [b"".join(bytes(piece) for piece in encode_form(form, documents))] * branches
    return Job("/", b"", form, len(documents), payloads, False, lambda _: None, lambda _: None)


def assessed(job: Job, **settings: Any) -> tuple[float, float]:
    assess(job, BatchSpec(**settings))
    return job.cost, job.longest


def test_rows_are_counted_without_a_look_at_the_payload() -> None:
    job = request("a", "b", "c")
    job.payloads = [b"no payload"]
    assert assessed(job) == (3.0, 1.0)


@FORMS
def test_bytes_are_those_of_the_payload(form: str) -> None:
    job = request("a", "bb", form=form)
    size = len(job.payloads[0])
    assert assessed(job, cost="bytes") == (size, size / 2)


@FORMS
def test_tokens_are_estimated_from_the_size_of_the_text(form: str) -> None:
    cost, longest = assessed(request("x" * 40, "두레" * 10, "", form=form), cost="tokens")
    assert (cost, longest) == (10 + 2 + 15 + 2 + 2, 17)


@FORMS
def test_a_function_is_given_documents(form: str) -> None:
    assert assessed(request("one", "three", form=form), cost=f"{COSTS}:letters") == (8, 5)


def test_documents_without_text_and_requests_without_documents() -> None:
    job = request()
    for cost in ("rows", "bytes", "tokens", f"{COSTS}:letters"):
        assert assessed(job, cost=cost)[0] == 0
    job = Job("/", b"", COLUMNS, 2, [], False, lambda _: None, lambda _: None)
    job.payloads = [b"".join(bytes(p) for p in encode_form(COLUMNS, DocumentArray([Document(), Document()])))]
    assert assessed(job, cost="tokens") == (4, 2)


def test_branches_of_a_flow_count_all() -> None:
    assert assessed(request("x" * 40, branches=2), cost="tokens") == (24, 12)


def test_a_document_dearer_than_a_whole_batch_is_refused() -> None:
    job = request("short", "x" * 400)
    with pytest.raises(ValidationError, match=r"costs 102 by tokens; a whole batch may cost 50 \(max_batch_cost\)"):
        assess(job, BatchSpec(cost="tokens", max_batch_cost=50))
    assess(job, BatchSpec(cost="tokens", max_batch_cost=102))


def test_many_cheap_documents_are_not_refused() -> None:
    assert assessed(request(*["word"] * 100), cost="tokens", max_batch_cost=10)[0] == 300


@pytest.mark.parametrize("cost", ["tokens", f"{COSTS}:letters"])
@FORMS
def test_what_cannot_be_read_is_refused(form: str, cost: str) -> None:
    job = request("a", form=form)
    job.payloads = [b"\xff\xff\xff\xff\xff"]
    with pytest.raises(DecodeError):
        assess(job, BatchSpec(cost=cost))


def test_a_function_that_fails() -> None:
    with pytest.raises(ExecutorError, match=r"the cost function .*:failing failed: KeyError: 'no such tag'"):
        assess(request("a"), BatchSpec(cost=f"{COSTS}:failing"))


@pytest.mark.parametrize("name", ["negative", "endless", "unknown"])
def test_what_is_no_cost(name: str) -> None:
    with pytest.raises(ValidationError, match=f"the cost function {COSTS}:{name} gave"):
        assess(request("a"), BatchSpec(cost=f"{COSTS}:{name}"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", r"batching\.cost: 'no_such_module:f' cannot be imported by the gateway"),
        (f"{COSTS}:no_such", "cannot be imported by the gateway.*no_such"),
        (f"{COSTS}:NO_FUNCTION", "is not a function but int"),
    ],
)
def test_no_such_function(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        cost_function(name)
