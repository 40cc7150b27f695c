"""Where the arrays of documents are, and what moves them, on every array library and kind of device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dure import Document, DocumentArray, Executor, batching, nd, no_transfers, requests, transfers
from dure.device.context import cpu
from dure.device.nd import NDArray
from dure.document import codec, protobuf
from dure.document.merge import concatenate, split
from dure.errors import DeviceNotFound, DeviceOutOfMemory, TransferForbidden, ValidationError
from tests.contract.worlds import World, refused, world

__all__ = ["world"]

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)
Make = Callable[[], DocumentArray]


def as_list() -> DocumentArray:
    return DocumentArray(Document(text) for text in "abcd")


def as_columns() -> DocumentArray:
    return codec.decode(bytearray(b"".join(codec.encode(as_list()))))


both_states = pytest.mark.parametrize("make", [as_list, as_columns])


def on(world: World, dtype: str = "float32") -> NDArray:
    return nd.array(VALUES, world.here, dtype)


# -- staying -----------------------------------------------------------------------------------------------------------


@both_states
def test_a_column_stays_where_it_was_made(world: World, make: Make) -> None:
    docs, y = make(), on(world)
    with no_transfers():
        docs.embeddings = y
        docs.tensors = y
        assert docs.is_list is (make is as_list)
        for column in (docs.embeddings, docs.tensors):
            assert isinstance(column, NDArray)
            assert (column.context, column.shape, str(column.dtype)) == (world.here, (4, 3), "float32")
        assert docs[1].embedding.context == world.here
        assert docs[1:3].embeddings.shape == (2, 3)
        assert [row.context for row in docs.get_attributes("embedding")] == [world.here] * 4
    assert docs.embeddings.asnumpy().tolist() == VALUES.tolist()


def test_a_column_is_returned_as_it_was_set(world: World) -> None:
    docs, y = as_columns(), on(world)
    docs.embeddings = y
    assert docs.embeddings is y
    docs.embeddings = VALUES
    assert docs.embeddings is VALUES


def test_a_torch_tensor_stays_one(world: World) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    docs, tensor = as_columns(), on(world).torch()
    with no_transfers():
        docs.embeddings = tensor
        assert docs.embeddings is tensor
        assert isinstance(docs[0].embedding, torch.Tensor)
        assert isinstance(docs.embeddings, torch.Tensor)
        assert docs.embeddings.device == tensor.device
    payload = b"".join(codec.encode(docs))
    assert codec.decode(payload).embeddings.tolist() == VALUES.tolist()


def test_a_tensor_with_a_gradient_travels(world: World) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    docs = as_columns()
    docs.embeddings = on(world).torch().clone().requires_grad_()
    assert codec.decode(b"".join(codec.encode(docs))).embeddings.tolist() == VALUES.tolist()


def test_rows_that_are_set_one_by_one_stay(world: World) -> None:
    docs, y = as_list(), on(world)
    with no_transfers():
        for doc, row in zip(docs, y, strict=True):
            doc.embedding = row
        assert isinstance(docs.embeddings, NDArray)
        assert docs.embeddings.context == world.here
        docs[1].embedding = None
        assert [None if row is None else row.context for row in docs.embeddings] == [
            world.here,
            None,
            *[world.here] * 2,
        ]
        docs[1].embedding = nd.ones(5, world.here)
        assert [row.shape for row in docs.embeddings] == [(3,), (5,), (3,), (3,)]


def test_rows_of_several_places_stay_where_they_are(world: World) -> None:
    rows = [nd.ones(3, world.here), nd.ones(3, world.there), np.ones(3, np.float32)]
    docs = DocumentArray(Document(embedding=row) for row in rows)
    with no_transfers():
        found = docs.embeddings
    assert [type(row) for row in found] == [NDArray, NDArray, np.ndarray]
    with transfers() as t:
        payload = b"".join(codec.encode(docs))
    assert t.num_bytes == sum(12 for context in (world.here, world.there) if context != cpu())
    assert np.array(codec.decode(payload).embeddings).tolist() == [[1] * 3] * 3


def test_a_single_number_is_no_column(world: World) -> None:
    docs = as_columns()
    assert "one value a document" in refused(lambda: setattr(docs, "embeddings", nd.ones((), world.here)))
    assert "3 values" in refused(lambda: setattr(docs, "embeddings", nd.ones((3, 2), world.here)), ValidationError)


# -- leaving -----------------------------------------------------------------------------------------------------------


def through_file(kind: str) -> Callable[[DocumentArray, Path], DocumentArray]:
    def leave(docs: DocumentArray, folder: Path) -> DocumentArray:
        getattr(docs, f"to_{kind}")(folder / "docs")
        back: DocumentArray = getattr(DocumentArray, f"from_{kind}")(folder / "docs")
        return back

    return leave


LEAVING: dict[str, Callable[[DocumentArray, Path], DocumentArray]] = {
    "columns": lambda docs, _: codec.decode(b"".join(codec.encode(docs))),
    "protobuf": lambda docs, _: protobuf.decode(protobuf.encode(docs)),
    "jsonl": through_file("jsonl"),
    "csv": through_file("csv"),
    "parquet": through_file("parquet"),
    "dataframe": lambda docs, _: DocumentArray.from_dataframe(docs.to_dataframe()),
}


@both_states
@pytest.mark.parametrize("how", LEAVING)
def test_what_leaves_is_counted_exactly_and_can_be_forbidden(
    world: World, make: Make, how: str, tmp_path: Path
) -> None:
    pytest.importorskip({"parquet": "pyarrow", "dataframe": "pandas"}.get(how, "numpy"))
    docs = make()
    docs.embeddings = y = on(world)
    with transfers() as t:
        back = LEAVING[how](docs, tmp_path)
    assert np.asarray(back.embeddings).tolist() == VALUES.tolist()
    assert back.embeddings.dtype == np.float32
    assert isinstance(docs.embeddings, NDArray)
    if world.on_host:
        assert t.num_moves == 0
        return
    assert t.between(world.here, cpu()).num_bytes == t.num_bytes == y.nbytes
    assert all(route.where.startswith(__file__) for route in t.routes)
    with no_transfers():
        assert __file__ in refused(lambda: LEAVING[how](docs, tmp_path), TransferForbidden)


@both_states
def test_encoding_is_one_move_a_column(world: World, make: Make) -> None:
    docs = make()
    docs.embeddings = docs.tensors = on(world)
    with transfers() as t:
        codec.encode(docs)
    assert t.num_moves == (0 if world.on_host else 2)


def test_what_the_wire_does_not_know_is_named(world: World) -> None:
    if world.library == "numpy":
        pytest.skip("numpy has no bfloat16")
    docs = as_columns()
    docs.embeddings = on(world, "bfloat16")
    assert "embedding: numpy has no bfloat16" in refused(lambda: codec.encode(docs), ValidationError)


def test_comparing_and_matching_read_what_is_there(world: World) -> None:
    docs, host = as_list(), as_list()
    docs.embeddings, host.embeddings = on(world), VALUES
    for doc, other in zip(docs, host, strict=True):
        other.id = doc.id
    assert docs == host
    with transfers() as t:
        docs.match(host, limit=1)
    assert [doc.matches[0].text for doc in docs] == list("abcd")
    assert t.num_bytes == (0 if world.on_host else VALUES.nbytes)


# -- entering ----------------------------------------------------------------------------------------------------------


@both_states
def test_to_brings_what_is_elsewhere_and_counts_it(world: World, make: Make) -> None:
    docs = make()
    docs.embeddings, docs.tensors = VALUES, VALUES.astype(np.int64)
    with transfers() as t:
        assert docs.to(world.here) is docs
    assert (docs.embeddings.context, str(docs.embeddings.dtype)) == (world.here, "float32")
    assert (docs.tensors.context, str(docs.tensors.dtype)) == (world.here, "int64")
    assert docs.embeddings.asnumpy().tolist() == VALUES.tolist()
    if world.on_host:
        assert t.num_moves == 0
    else:
        assert t.between(cpu(), world.here).num_bytes == t.num_bytes == VALUES.nbytes * 3
        assert t.num_moves == 2
        assert all(route.where.startswith(__file__) for route in t.routes)


@both_states
def test_to_leaves_what_is_there(world: World, make: Make) -> None:
    docs = make()
    docs.embeddings = on(world)
    row = docs[0].embedding if make is as_list else None
    with transfers() as t, no_transfers():
        docs.to(world.here).to(str(world.here))
    assert t.num_moves == 0
    if row is not None:
        assert docs[0].embedding is row
    with transfers() as t:
        docs.to(world.there)
    assert t.between(world.here, world.there).num_bytes == t.num_bytes == VALUES.nbytes
    assert docs.embeddings.context == world.there


def test_to_takes_rows_that_do_not_fit_together(world: World) -> None:
    rows = [np.ones(2, np.float32), None, np.ones(3, np.float32)]
    docs = DocumentArray(Document(embedding=row) for row in rows)
    docs.to(world.here)
    assert [None if row is None else (row.context, row.shape) for row in docs.embeddings] == [
        (world.here, (2,)),
        None,
        (world.here, (3,)),
    ]
    assert DocumentArray(Document()).to(world.here).embeddings is None


def test_to_refuses_what_cannot_be(world: World) -> None:
    docs = as_columns()
    docs.embeddings = VALUES
    assert "gpu(99)" in refused(lambda: docs.to("gpu:99"), DeviceNotFound)
    assert "Did you mean 'cuda'?" in refused(lambda: docs.to("cudda"), DeviceNotFound)
    if not world.on_host:
        with no_transfers():
            assert __file__ in refused(lambda: docs.to(world.here), TransferForbidden)
    if world.simulated and not world.on_host:
        docs.tensors = np.zeros((4, 2**27), np.float32)
        assert "2,147,483,648 bytes are needed" in refused(lambda: docs.to(world.here), DeviceOutOfMemory)
    assert isinstance(docs.embeddings, np.ndarray | NDArray)


# -- from one Executor to the next -------------------------------------------------------------------------------------


class Encoder(Executor):
    """Works on its device, whatever it is given."""

    def __init__(self, device: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device = device
        self.weight = nd.random.uniform(shape=(3, 5), ctx=device)

    @requests(on="/index")
    @batching(max_batch_size=8)
    def encode(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs.to(self.device)
        docs.embeddings = nd.tanh(docs.tensors @ self.weight)


class Ranker(Encoder):
    @requests(on="/index")
    def rank(self, docs: DocumentArray, **kwargs: Any) -> None:
        x = docs.to(self.device).embeddings
        docs.tensors = nd.softmax(x @ x.T, axis=1)


@both_states
def test_two_executors_on_one_device_move_nothing_between_them(world: World, make: Make) -> None:
    encoder, ranker = Encoder(world.here), Ranker(world.here)
    docs = make()
    docs.tensors = VALUES
    with transfers() as entering:
        docs.to(world.here)
    with transfers() as between, no_transfers():
        encoder.encode(docs)
        ranker.rank(docs)
    with transfers() as leaving:
        payload = b"".join(codec.encode(docs))
    assert between.num_moves == 0
    assert codec.decode(payload).tensors.shape == (4, 4)
    if not world.on_host:
        assert entering.between(cpu(), world.here).num_bytes == VALUES.nbytes
        assert leaving.between(world.here, cpu()).num_bytes == leaving.num_bytes == (4 * 5 + 4 * 4) * 4


def test_two_executors_on_two_devices_move_what_they_hand_over(world: World) -> None:
    encoder, ranker = Encoder(world.here), Ranker(world.there)
    docs = as_columns()
    docs.tensors = VALUES
    encoder.encode(docs)
    with transfers() as t:
        ranker.rank(docs)
    assert t.between(world.here, world.there).num_bytes == t.num_bytes == VALUES.nbytes + 4 * 5 * 4


# -- batches -----------------------------------------------------------------------------------------------------------


def test_parts_are_put_together_where_they_are(world: World) -> None:
    parts = [as_columns(), as_columns()]
    for part in parts:
        part.embeddings = on(world)
    with no_transfers():
        whole = concatenate(parts)
        assert isinstance(whole.embeddings, NDArray)
    assert whole.embeddings.context == world.here
    assert whole.embeddings.asnumpy().tolist() == [*VALUES.tolist(), *VALUES.tolist()]
    parts[1].embeddings = VALUES
    with no_transfers():
        mixed = concatenate(parts).embeddings
    assert [type(row) for row in mixed] == [NDArray] * 4 + [np.ndarray] * 4


def test_a_batch_leaves_in_one_move(world: World) -> None:
    docs = as_columns()
    docs.embeddings = on(world)
    with transfers() as t:
        parts = [b"".join(codec.encode(part)) for part in split(docs, [1, 3])]
    assert [codec.decode(part).embeddings.tolist() for part in parts] == [VALUES[:1].tolist(), VALUES[1:].tolist()]
    assert (t.num_moves, t.num_bytes) == ((0, 0) if world.on_host else (1, VALUES.nbytes))
