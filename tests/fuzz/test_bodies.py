"""Bodies of requests in the words of every protocol: read, or refused with one of our errors."""

import gzip
import json
import zlib
from typing import Any

import msgspec
from google.protobuf.message import DecodeError as ProtobufError
from hypothesis import strategies as st

from dure.document import dure_pb2 as pb
from dure.document.oip_form import decode as decode_tensors
from dure.document.oip_messages import messages
from dure.gateway import oip_body, openai
from dure.gateway.envelopes import request_of as request_of_envelope
from dure.gateway.http_exchange import _unpacked
from dure.gateway.http_json import Body, NamedBody, packed, parsed
from dure.gateway.http_upload import body_of
from dure.gateway.json_depth import check_depth
from dure.gateway.oip_call import request_of
from dure.gateway.oip_envelope import infer_of
from dure.gateway.websocket import SocketMessage
from tests.fuzz.mutation import ODD, TOKENS, around, as_json, odd, repeated
from tests.fuzz.samples import (
    BODIES,
    EMBEDDINGS,
    ENVELOPES,
    FORM_TYPE,
    FORMS,
    INFERENCE_MESSAGES,
    INFERENCES,
)
from tests.fuzz.search import Bounds, Search, value_or_error

LIMIT = 2**20
KINDS = [msgspec.json.Decoder(kind).decode for kind in (Body, NamedBody, SocketMessage)]


def written(values: list[Any]) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def test_bodies_in_json(search: Search) -> None:
    def check(data: bytes) -> None:
        for read in KINDS:
            body = value_or_error(lambda read=read: Bounds().check(len(data), lambda: parsed(read, data)))  # type: ignore[misc]
            if body is not None:
                value_or_error(lambda body=body: body.checked_timeout_s)  # type: ignore[misc]
                travelling = value_or_error(lambda body=body: packed(body.parameters))  # type: ignore[misc]
                assert not travelling or msgspec.msgpack.decode(travelling) == msgspec.msgpack.decode(travelling)

    search(around(written(BODIES)) | as_json(odd(BODIES)) | repeated(written(BODIES)), check)


def test_depth_of_json(search: Search) -> None:
    def check(data: bytes) -> None:
        shallow = value_or_error(lambda: (Bounds().check(len(data), lambda: check_depth(data)), True))
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        assert (_depth(value) <= 100) == (shallow is not None)

    brackets = st.text('[]{}",:\\a1 ', max_size=300).map(str.encode)
    deep = st.integers(90, 110).flatmap(
        lambda n: st.sampled_from(
            [b"[" * n + b"]" * n, b'{"\\"[":' * n + b"1" + b"}" * n, b'["\\\\",' * n + b"1" + b"]" * n]
        )
    )
    search(brackets | deep | around(written(BODIES)) | repeated(written(BODIES)), check)


def _depth(value: Any) -> int:
    deepest, layer = 0, [value]
    while layer := [one for one in layer if isinstance(one, list | dict)]:
        deepest += 1
        layer = [inner for one in layer for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


CONTENT_TYPES = [
    FORM_TYPE,
    *(b"multipart/form-data", b'multipart/form-data; boundary=""', b"multipart/form-data; boundary=" + b"x" * 300),
    *(
        b"multipart/form-data; boundary=\xff\xfe",
        b"multipart/form-data; boundary*=UTF-8''xyz",
        b'multipart/form-data;boundary="xyz',
    ),
    *(
        b"multipart/form-data; boundary=-",
        b"Multipart/Form-Data; BOUNDARY=xyz; x" + b";" * 1000,
        b"text/plain; charset=x",
    ),
    *(b"application/x-www-form-urlencoded", b"image/png", b"text/\xff", b"application/octet-stream", b"\xff"),
]


def test_forms(search: Search) -> None:
    def check(given: tuple[bytes, bytes]) -> None:
        data, kind = given
        body = value_or_error(lambda: Bounds(seconds_a_byte=60e-6).check(len(data), lambda: body_of(data, kind)))
        if body is not None:
            value_or_error(lambda: packed(body.parameters))
            assert isinstance(json.loads(b"[" + b",".join(body.data) + b"]"), list)

    fields = [b"text=a&text=b&limit=3", b"parameters=%7B%22a%22%3A1%7D&text=%ED%95%9C", b"a=b" * 3]
    parameters = as_json(odd([{"limit": {"a": [1, 2]}}])).map(lambda value: FORMS[1].replace(b'{"limit": 3}', value))
    kinds = st.sampled_from(CONTENT_TYPES) | around(CONTENT_TYPES)
    bodies = around([*FORMS, *fields]) | repeated([*FORMS, *fields]) | parameters
    search(st.tuples(bodies, st.just(FORM_TYPE)) | st.tuples(bodies, kinds), check)


def test_compressed_bodies(search: Search) -> None:
    plain = [b"a" * 40, bytes(range(256)), b"\0" * (4 * LIMIT)]
    raw = [zlib.compressobj(wbits=-15).compress(b"abc") + b"\3\0"]
    packed_ones = [pack(data) for pack in (gzip.compress, zlib.compress) for data in plain] + raw

    def check(given: tuple[bytes, bytes]) -> None:
        data, encoding = given
        # Unpacked it may be as large as the limit, twice over where it grows.
        bounds = Bounds(memory=2 * LIMIT + 2 * 2**20)
        body = value_or_error(lambda: bounds.check(len(data), lambda: _unpacked(data, encoding, LIMIT)))
        assert body is None or len(body) <= LIMIT

    encodings = st.sampled_from([b"gzip", b"deflate", b"identity", b"br", b"gzip, gzip", b"", b"\xff"])
    search(st.tuples(around(packed_ones) | repeated(packed_ones), encodings), check)


def test_embeddings_asked_for(search: Search) -> None:
    def check(data: bytes) -> None:
        def read() -> Any:
            body = openai._read(data)
            return openai._texts(body.input)

        found = value_or_error(lambda: Bounds().check(len(data), read))
        if found is not None:
            assert len(json.loads(found[0])) == found[1]

    search(around(written(EMBEDDINGS)) | as_json(odd(EMBEDDINGS)) | repeated(written(EMBEDDINGS)), check)


def _check_inference(infer: Any) -> None:
    found = value_or_error(lambda: request_of("/upper", infer))
    if found is not None:
        request, _ = found
        assert request.timeout_s >= 0
        documents = value_or_error(lambda: decode_tensors(request.payload))
        assert documents is None or len(documents) == request.rows


HEAD_LENGTHS = [
    None,
    b"0",
    b"10",
    b"-1",
    b"+5",
    b"5.0",
    b" 5",
    b"0x5",
    b"9" * 30,
    b"\xb2",
    b"",
    b"00000000000000000005",
]


def test_inferences_over_http(search: Search) -> None:
    def check(given: tuple[bytes, bytes | None]) -> None:
        data, length = given
        infer = value_or_error(lambda: Bounds().check(len(data), lambda: oip_body.read(data, length)))
        if infer is not None:
            _check_inference(infer)

    heads = written(INFERENCES)
    with_bytes = st.tuples(st.sampled_from(heads) | as_json(odd(INFERENCES)), st.binary(max_size=12)).map(
        lambda parts: (parts[0] + parts[1], str(len(parts[0])).encode())
    )
    bodies = around(heads) | as_json(odd(INFERENCES)) | repeated(heads)
    lengths = st.sampled_from(HEAD_LENGTHS) | st.integers(0, 400).map(lambda n: str(n).encode())
    search(with_bytes | st.tuples(bodies, lengths), check)


def test_inferences_over_grpc(search: Search) -> None:
    def check(data: bytes) -> None:
        try:
            message = messages.ModelInferRequest.FromString(data)
        except ProtobufError:
            return
        infer = value_or_error(lambda: Bounds().check(len(data), lambda: infer_of(message, LIMIT)))
        if infer is not None:
            _check_inference(infer)

    search(around(INFERENCE_MESSAGES) | _inference_messages() | repeated(INFERENCE_MESSAGES), check)


@st.composite
def _inference_messages(draw: st.DrawFn) -> bytes:
    message = messages.ModelInferRequest(model_name="upper")
    names = st.sampled_from(["text", "embedding", "tensor", "tags", "id", "x", ""])
    pieces = st.sampled_from(
        [b"", b"\0" * 4, b"\0" * 8, b"\1\0\0\0a", b"\xff\xff\xff\xff", b"\0" * 64, b"2\4\0\0\x80?"]
    )
    for _ in range(draw(st.integers(0, 3))):
        shape = draw(st.lists(st.sampled_from([0, 1, 2, -1, 2**32, 2**62, 2**63 - 1]), max_size=4) | st.just([1] * 40))
        kind = draw(st.sampled_from(["BYTES", "FP32", "BF16", "BOOL", "INT64", "FP16", "", "x"]))
        message.inputs.add(name=draw(names), datatype=kind, shape=shape, contents=draw(pieces | st.just(b"")))
    message.raw_input_contents.extend(draw(st.lists(pieces, max_size=3)))
    for name in draw(st.lists(st.sampled_from(["priority", "timeout", "a", "headers", "sequence_id"]), max_size=2)):
        kind = draw(st.sampled_from(["int64_param", "double_param", "string_param", "bool_param", "uint64_param"]))
        values = {"string_param": "a", "bool_param": True, "double_param": draw(st.floats())}
        setattr(message.parameters[name], kind, values.get(kind, draw(st.sampled_from([0, 1, 2**62]))))
    data: bytes = message.SerializeToString()
    return data


def test_envelopes(search: Search) -> None:
    def check(data: bytes) -> None:
        try:
            envelopes = pb.RequestsEnvelope.FromString(data).requests
        except ProtobufError:
            return
        for envelope in envelopes:
            request = value_or_error(lambda envelope=envelope: request_of_envelope(envelope, LIMIT))  # type: ignore[misc]
            if request is not None:
                assert 0 <= request.timeout_s < float("inf")
                assert not request.parameters or isinstance(msgspec.msgpack.decode(request.parameters), dict)

    parameters = as_json(odd([{"a": {"b": [1]}}, *ODD[-6:]])) | st.sampled_from(TOKENS)
    texts = parameters.map(lambda data: data.decode(errors="replace"))
    built = st.builds(
        lambda text, timeout_s, priority, documents: pb.RequestsEnvelope(
            requests=[
                pb.RequestEnvelope(
                    id=1,
                    endpoint="/a",
                    parameters_json=text,
                    timeout_s=timeout_s,
                    priority=priority,
                    documents=documents,
                )
            ]
        ).SerializeToString(),
        texts,
        st.floats(),
        st.integers(-(2**31), 2**31 - 1),
        around([b""]),
    )
    search(around(ENVELOPES) | built | repeated(ENVELOPES), check)
