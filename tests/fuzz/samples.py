"""Valid inputs to begin from: documents in every form, and requests in every protocol's words."""

import json
from typing import Any

import numpy as np

from dure.document import dure_pb2 as pb
from dure.document.array import DocumentArray
from dure.document.document import Document
from dure.document.forms import COLUMNS, JSON, PROTOBUF, encode_form
from dure.document.oip_messages import messages
from dure.document.oip_tensors import Tensor, pack

ROWS: list[Any] = [
    [{"text": "many hands"}, {"text": "한글", "id": "b"}],
    ["many", "hands"],
    [{"id": "a", "blob": "AAEC", "tags": {"n": 1, "deep": {"list": [1, None, "x"]}}, "scores": {"cosine": 0.5}}],
    [{"embedding": [1.0, 2.5]}, {"embedding": [3, 4]}],
    [{"tensor": {"dtype": "float64", "shape": [2, 2], "data": [1, 2, 3, 4]}}, {"tensor": [[1, 2], [3, 4]]}],
    [
        {
            "chunks": [{"text": "c", "matches": [{"id": "m", "scores": {"d": 1}}]}],
            "uri": "a/b",
            "mime_type": "text/plain",
        }
    ],
]


def _arrays() -> list[DocumentArray]:
    found = [DocumentArray(Document(r) if isinstance(r, str) else Document.from_dict(r) for r in rows) for rows in ROWS]
    whole = DocumentArray([Document(str(i), embedding=np.full(3, i, np.float32)) for i in range(4)])
    whole.tensors = np.ones((4, 2, 2), np.int8)
    flags = DocumentArray([Document(tensor=np.array([True, False])), Document(tensor=np.zeros((0, 3), np.complex64))])
    columns = DocumentArray.from_columns(4, {"id": list("abcd"), "embedding": np.ones((4, 3), "<f2")})
    for docs in (*found, whole, flags):  # not of this process: the same seed is to draw the same inputs
        docs.set_column("id", [f"{i:04}" for i in range(len(docs))])
        for inner in docs.traverse("c,cm"):
            inner.id = "inner"
    return [*found, whole, flags, columns, DocumentArray()]


DOCUMENTS = {form: [b"".join(encode_form(form, docs)) for docs in _arrays()[:-3]] for form in (COLUMNS, PROTOBUF, JSON)}
"""Payloads of each form."""

DOCUMENTS[COLUMNS] += [b"".join(encode_form(COLUMNS, docs)) for docs in _arrays()[-3:]]
DOCUMENTS[PROTOBUF] += [b"".join(encode_form(PROTOBUF, docs)) for docs in _arrays()[-3:]]


def _raw(name: str, datatype: str, shape: list[int], data: bytes, coding: Any = "raw") -> tuple[Tensor, bytes]:
    return Tensor(name, datatype, shape, coding, len(data)), data


_TYPED = messages.InferTensorContents(fp32_contents=[1.0, 2.0]).SerializeToString()
TENSORS = [
    pack(tensors)[0]
    for tensors in (
        [_raw("text", "BYTES", [2], b"\1\0\0\0a\3\0\0\0\xed\x95\x9c"), _raw("embedding", "FP32", [2, 1], b"\0" * 8)],
        [_raw("tensor", "BOOL", [1, 2], b"\1\0"), _raw("tags", "BYTES", [1, 1], b'["{\\"a\\":1}"]', "json")],
        [_raw("tensor", "FP32", [2, 1], b"[[1.5],[2]]", "json"), _raw("id", "BYTES", [2], b'["a","b"]', "json")],
        [_raw("embedding", "FP32", [1, 2], _TYPED, "typed")],
        [_raw("tensor", "BF16", [1, 2], b"\x80\x3f\x80\x3f"), _raw("blob", "BYTES", [1], b"\0\0\0\0")],
    )
]
"""Payloads of the form of the Open Inference Protocol."""

RENDERINGS = ["oip", "oip[[],true,false]", "oip[[],false,true]", 'oip[[["embedding",true],["text",false]],true,false]']
"""Names of that form, with what is wanted of an answer."""

BODIES: list[Any] = [
    {"data": [{"text": "many hands"}], "parameters": {"limit": 3}, "timeout_s": 1.5, "priority": 2, "explain": True},
    {"data": ["a"], "parameters": {"nested": {"a": [1, {"b": None}]}}},
    {"endpoint": "/upper", "data": [{"tags": {"a": 1}}]},
    {"id": 1, "endpoint": "/upper", "data": ["a"], "stream": True, "cancel": False},
    {"id": "x", "cancel": True},
]
"""What is posted to endpoints, and sent by WebSocket."""

EMBEDDINGS: list[Any] = [
    {"model": "encode", "input": ["many hands", "한글"], "encoding_format": "base64", "dimensions": 2, "user": "u"},
    {"model": "encode", "input": "a"},
]
INFERENCES: list[Any] = [
    {
        "id": "1",
        "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}],
        "outputs": [{"name": "embedding", "parameters": {"binary_data": False}}],
        "parameters": {"priority": 1, "timeout": 1000, "binary_data_output": True},
    },
    {"inputs": [{"name": "embedding", "shape": [1, 2], "datatype": "FP32", "data": [[1.0, 2]]}]},
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]},
]


def inference_message(name: str = "upper") -> Any:
    """Return a request over gRPC with one input in binary."""
    message = messages.ModelInferRequest(model_name=name, id="1", raw_input_contents=[b"\1\0\0\0a"])
    message.inputs.add(name="text", datatype="BYTES", shape=[1])
    message.outputs.add(name="text")
    message.parameters["priority"].int64_param = 1
    return message


def _typed_message() -> Any:
    message = messages.ModelInferRequest(model_name="upper")
    message.inputs.add(name="embedding", datatype="FP32", shape=[1, 2], contents=_TYPED)
    return message


INFERENCE_MESSAGES = [inference_message().SerializeToString(), _typed_message().SerializeToString()]


def envelope(number: int = 1, endpoint: str = "/upper") -> pb.RequestEnvelope:
    """Return a request of `dure.proto`."""
    return pb.RequestEnvelope(
        id=number,
        endpoint=endpoint,
        parameters_json=json.dumps({"a": 1}),
        documents=DOCUMENTS[PROTOBUF][0],
        timeout_s=5,
        priority=1,
        explain=True,
    )


ENVELOPES = [
    pb.RequestsEnvelope(requests=[envelope()]).SerializeToString(),
    pb.RequestsEnvelope(requests=[envelope(1), envelope(2, "/")]).SerializeToString(),
]

BOUNDARY = "xyz"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}".encode()


def form(*parts: tuple[str, bytes]) -> bytes:
    """Return a multipart body of parts, each its headers and its content."""
    pieces = [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


FORMS = [
    form(('Content-Disposition: form-data; name="text"', "한글".encode())),
    form(
        ('Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg', b"\xff\xd8\0"),
        ('Content-Disposition: form-data; name="parameters"', b'{"limit": 3}'),
        ('Content-Disposition: form-data; name="n"', b"1"),
    ),
    form(("Content-Disposition: form-data; name=text; filename*=UTF-8''%e2%82%ac\r\nContent-Type: text/plain", b"a")),
]
