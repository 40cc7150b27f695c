from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Documents(_message.Message):
    __slots__ = ("rows", "id", "text", "blob", "tensor", "embedding", "tags_json", "scores", "uri", "mime_type", "chunks", "matches")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    TAGS_JSON_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    id: _containers.RepeatedScalarFieldContainer[str]
    text: _containers.RepeatedScalarFieldContainer[str]
    blob: _containers.RepeatedScalarFieldContainer[bytes]
    tensor: Tensors
    embedding: Tensors
    tags_json: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedCompositeFieldContainer[Scores]
    uri: _containers.RepeatedScalarFieldContainer[str]
    mime_type: _containers.RepeatedScalarFieldContainer[str]
    chunks: _containers.RepeatedCompositeFieldContainer[Documents]
    matches: _containers.RepeatedCompositeFieldContainer[Documents]
    def __init__(self, rows: _Optional[int] = ..., id: _Optional[_Iterable[str]] = ..., text: _Optional[_Iterable[str]] = ..., blob: _Optional[_Iterable[bytes]] = ..., tensor: _Optional[_Union[Tensors, _Mapping]] = ..., embedding: _Optional[_Union[Tensors, _Mapping]] = ..., tags_json: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[_Union[Scores, _Mapping]]] = ..., uri: _Optional[_Iterable[str]] = ..., mime_type: _Optional[_Iterable[str]] = ..., chunks: _Optional[_Iterable[_Union[Documents, _Mapping]]] = ..., matches: _Optional[_Iterable[_Union[Documents, _Mapping]]] = ...) -> None: ...

class Tensors(_message.Message):
    __slots__ = ("dtype", "shape", "data", "each")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EACH_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    each: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., each: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("unset", "dtype", "shape", "data")
    UNSET_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    unset: bool
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, unset: _Optional[bool] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.ScalarMap[str, float]
    def __init__(self, values: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("id", "endpoint", "parameters_json", "documents", "parts", "timeout_s", "priority", "explain")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    id: int
    endpoint: str
    parameters_json: str
    documents: Documents
    parts: bool
    timeout_s: float
    priority: int
    explain: bool
    def __init__(self, id: _Optional[int] = ..., endpoint: _Optional[str] = ..., parameters_json: _Optional[str] = ..., documents: _Optional[_Union[Documents, _Mapping]] = ..., parts: _Optional[bool] = ..., timeout_s: _Optional[float] = ..., priority: _Optional[int] = ..., explain: _Optional[bool] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("id", "documents", "results_json", "error", "part", "served")
    class ResultsJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ServedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Served
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Served, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    id: int
    documents: Documents
    results_json: _containers.ScalarMap[str, str]
    error: Error
    part: bool
    served: _containers.MessageMap[str, Served]
    def __init__(self, id: _Optional[int] = ..., documents: _Optional[_Union[Documents, _Mapping]] = ..., results_json: _Optional[_Mapping[str, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., part: _Optional[bool] = ..., served: _Optional[_Mapping[str, Served]] = ...) -> None: ...

class Served(_message.Message):
    __slots__ = ("replica", "queue_s", "wait_s", "compute_s", "serialize_s", "batch_requests", "batch_rows")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    QUEUE_S_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    SERIALIZE_S_FIELD_NUMBER: _ClassVar[int]
    BATCH_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    replica: int
    queue_s: float
    wait_s: float
    compute_s: float
    serialize_s: float
    batch_requests: int
    batch_rows: int
    def __init__(self, replica: _Optional[int] = ..., queue_s: _Optional[float] = ..., wait_s: _Optional[float] = ..., compute_s: _Optional[float] = ..., serialize_s: _Optional[float] = ..., batch_requests: _Optional[int] = ..., batch_rows: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "fields_json")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    fields_json: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., fields_json: _Optional[str] = ...) -> None: ...

class Requests(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[Request]
    def __init__(self, requests: _Optional[_Iterable[_Union[Request, _Mapping]]] = ...) -> None: ...

class Replies(_message.Message):
    __slots__ = ("replies",)
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    def __init__(self, replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ("endpoints",)
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    def __init__(self, endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("name", "streaming", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    streaming: bool
    description: str
    def __init__(self, name: _Optional[str] = ..., streaming: _Optional[bool] = ..., description: _Optional[str] = ...) -> None: ...

class DocumentsHead(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    def __init__(self, rows: _Optional[int] = ...) -> None: ...

class DocumentsTexts(_message.Message):
    __slots__ = ("rows", "text")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    rows: int
    text: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rows: _Optional[int] = ..., text: _Optional[_Iterable[str]] = ...) -> None: ...

class RequestEnvelope(_message.Message):
    __slots__ = ("id", "endpoint", "parameters_json", "documents", "parts", "timeout_s", "priority", "explain")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    id: int
    endpoint: str
    parameters_json: str
    documents: bytes
    parts: bool
    timeout_s: float
    priority: int
    explain: bool
    def __init__(self, id: _Optional[int] = ..., endpoint: _Optional[str] = ..., parameters_json: _Optional[str] = ..., documents: _Optional[bytes] = ..., parts: _Optional[bool] = ..., timeout_s: _Optional[float] = ..., priority: _Optional[int] = ..., explain: _Optional[bool] = ...) -> None: ...

class ReplyEnvelope(_message.Message):
    __slots__ = ("id", "documents", "results_json", "error", "part", "served")
    class ResultsJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ServedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Served
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Served, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    id: int
    documents: bytes
    results_json: _containers.ScalarMap[str, str]
    error: Error
    part: bool
    served: _containers.MessageMap[str, Served]
    def __init__(self, id: _Optional[int] = ..., documents: _Optional[bytes] = ..., results_json: _Optional[_Mapping[str, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., part: _Optional[bool] = ..., served: _Optional[_Mapping[str, Served]] = ...) -> None: ...

class RequestsEnvelope(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RequestEnvelope]
    def __init__(self, requests: _Optional[_Iterable[_Union[RequestEnvelope, _Mapping]]] = ...) -> None: ...

class RepliesEnvelope(_message.Message):
    __slots__ = ("replies",)
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[ReplyEnvelope]
    def __init__(self, replies: _Optional[_Iterable[_Union[ReplyEnvelope, _Mapping]]] = ...) -> None: ...
