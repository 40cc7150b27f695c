"""Flows of several Executors: branches, joins, leaves, and who is left out."""

from typing import Any

import pytest

from dure import Client, Document, DocumentArray, Executor, Flow, requests
from dure.errors import ExecutorError

START_S = 20


class Tag(Executor):
    """Notes its name in every document."""

    @requests
    def tag(self, docs: DocumentArray, **kwargs: Any) -> None:
        for doc in docs:
            doc.tags[self.runtime_args.name] = True
            doc.tags.setdefault("path", []).append(self.runtime_args.name)


class Text(Executor):
    def __init__(self, text: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text

    @requests(on="/text")
    def change(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.texts = [text + self.text for text in docs.texts]

    @requests(on="/fail")
    def fail(self, docs: DocumentArray, **kwargs: Any) -> None:
        if self.text == "bad":
            raise ValueError("this branch is broken")

    @requests(on="/results")
    def results(self, docs: DocumentArray, **kwargs: Any) -> dict[str, str]:
        return {"I am": self.text}


class Half(Executor):
    """Keeps every other document; of two branches, one the even and one the odd."""

    def __init__(self, first: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = first

    @requests
    def keep(self, docs: DocumentArray, **kwargs: Any) -> DocumentArray:
        return docs[self.first :: 2]


class Matrix(Executor):
    """Tells what came from each branch."""

    @requests
    def tell(self, docs: DocumentArray, docs_matrix: list[DocumentArray] | None = None, **kwargs: Any) -> DocumentArray:
        branches = None if docs_matrix is None else [branch.texts for branch in docs_matrix]
        return DocumentArray([Document(text=repr(branches)), *docs])


class Split(Executor):
    @requests
    def split(self, docs: DocumentArray, **kwargs: Any) -> Any:
        for doc in docs:
            for letter in doc.text:
                yield Document(text=letter)


def both(flow: Flow, endpoint: str, inputs: Any, **options: Any) -> Any:
    """Post on both protocols, whose answers must be equal."""
    with flow, Client(port=flow.port, protocol="grpc") as public:
        own = flow.post(endpoint, inputs, **options)
        other = public.post(endpoint, inputs, **options)
        assert [(doc.text, doc.tags) for doc in own] == [(doc.text, doc.tags) for doc in other]
        assert own.parameters == other.parameters
        return own


def test_one_after_the_other() -> None:
    flow = Flow().add(uses=Tag, name="a", timeout_ready_s=START_S).add(uses=Tag, name="b").add(uses=Tag, name="c")
    assert [doc.tags["path"] for doc in both(flow, "/", ["x", "y"], request_size=1)] == [["a", "b", "c"]] * 2


def test_branches_are_joined_by_id() -> None:
    flow = (
        Flow()
        .add(uses=Tag, name="start", timeout_ready_s=START_S)
        .add(uses=Tag, name="left", needs="start")
        .add(uses=Tag, name="right", needs=["start"])
        .add(uses=Tag, name="end", needs=["left", "right"])
    )
    docs = [Document(text=str(i)) for i in range(5)]
    back = both(flow, "/", docs, request_size=2)
    assert back.ids == [doc.id for doc in docs]
    assert back.texts == list("01234")
    for doc in back:
        assert {name for name in doc.tags if name != "path"} == {"start", "left", "right", "end"}
        assert doc.tags["path"] == ["start", "right", "end"], "of one tag, the later branch wins"


def test_branches_that_keep_different_documents() -> None:
    flow = (
        Flow()
        .add(uses=Half, name="even", uses_with={"first": 0}, timeout_ready_s=START_S)
        .add(uses=Half, name="odd", uses_with={"first": 1}, needs="gateway")
        .add(uses=Tag, name="end", needs=["even", "odd"])
    )
    assert both(flow, "/", list("abcde")).texts == ["a", "c", "e", "b", "d"]


def test_an_executor_that_wants_the_branches_apart() -> None:
    flow = (
        Flow()
        .add(uses=Text, name="one", uses_with={"text": "1"}, timeout_ready_s=START_S)
        .add(uses=Text, name="two", uses_with={"text": "2"}, needs="gateway")
        .add(uses=Matrix, name="end", needs=["two", "one", "gateway"])
        .add(uses=Matrix, name="after")
    )
    after, end, x = both(flow, "/text", ["x"]).texts
    assert end == repr([["x2"], ["x1"], ["x"]])
    assert after == repr(None), "one branch is no matrix"
    assert x == "x"


def test_a_flow_that_ends_in_several_executors_joins_them() -> None:
    flow = (
        Flow()
        .add(uses=Tag, name="a", timeout_ready_s=START_S)
        .add(uses=Tag, name="b", needs="gateway")
        .add(uses=Tag, name="c", needs="gateway")
    )
    docs = [Document(text=str(i)) for i in range(3)]
    back = both(flow, "/", docs)
    assert back.ids == [doc.id for doc in docs]
    assert all({"a", "b", "c"} <= set(doc.tags) for doc in back)


def test_needs_all() -> None:
    flow = (
        Flow()
        .add(uses=Tag, name="a", timeout_ready_s=START_S)
        .add(uses=Tag, name="b", needs="gateway")
        .needs_all(uses=Tag, name="all")
        .add(uses=Tag, name="last")
    )
    assert flow.spec.executors[2].needs == ["a", "b"]
    (back,) = both(flow, "/", ["x"])
    assert {"a", "b", "all", "last"} <= set(back.tags)


def test_needs_all_with_an_executor_that_does_nothing_joins() -> None:
    flow = (
        Flow()
        .add(uses=Tag, name="a", timeout_ready_s=START_S)
        .add(uses=Tag, name="b", needs="gateway")
        .needs_all()
        .add(uses=Tag, name="last")
    )
    (back,) = both(flow, "/", ["x"])
    assert {"a", "b", "last"} <= set(back.tags)


def test_executors_without_the_endpoint_are_passed_over() -> None:
    flow = (
        Flow()
        .add(uses=Text, name="first", uses_with={"text": "1"}, timeout_ready_s=START_S)
        .add(uses=Tag, name="between")
        .add(uses=Text, name="last", uses_with={"text": "2"})
    )
    with flow:
        assert flow.post("/text", "x").texts == ["x12"]
        assert flow.post("/text", "x")[0].tags["path"] == ["between"]
        back = flow.post("/anything", "x")
        assert (back.texts, back[0].tags["path"]) == (["x"], ["between"])


def test_results_of_several_executors() -> None:
    flow = (
        Flow()
        .add(uses=Text, name="first", uses_with={"text": "1"}, timeout_ready_s=START_S)
        .add(uses=Text, name="second", uses_with={"text": "2"}, needs="gateway")
    )
    back = both(flow, "/results", ["x"])
    assert back.parameters == {"__results__": {"first": {"I am": "1"}, "second": {"I am": "2"}}}


def test_a_branch_that_fails_fails_the_request_once() -> None:
    flow = (
        Flow()
        .add(uses=Text, name="good", uses_with={"text": "good"}, timeout_ready_s=START_S)
        .add(uses=Text, name="bad", uses_with={"text": "bad"}, needs="gateway")
        .add(uses=Tag, name="end", needs=["good", "bad"])
    )
    with flow:
        for _ in range(3):
            with pytest.raises(ExecutorError, match="this branch is broken") as caught:
                flow.post("/fail", "x")
            assert caught.value.executor == "bad"
        assert len(flow.post("/other", "x")) == 1


def test_a_generator_in_the_middle() -> None:
    flow = Flow().add(uses=Split, name="split", timeout_ready_s=START_S).add(uses=Tag, name="tag")
    with flow:
        assert flow.post("/", ["ab", "c"]).texts == ["a", "b", "c"]
        assert [results.texts for results in flow.stream("/", ["ab", "c"])] == [["a", "b", "c"]]
