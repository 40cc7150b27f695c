"""The messages of the Open Inference Protocol's gRPC service, as Triton extends it: package `inference`.

They live in a pool of their own, since a client of the protocol in the same process brings files that define them too,
and a name may be defined once in a pool. Fields are as in `grpc_service.proto` and `model_config.proto` of Triton;
those that nothing here reads or writes are left out. One differs: an input's `contents` stays bytes until a worker
reads it. To clients the door describes it as it is.
"""

import re
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

_ENUMS = {
    "DataType": (
        "TYPE_INVALID TYPE_BOOL TYPE_UINT8 TYPE_UINT16 TYPE_UINT32 TYPE_UINT64 TYPE_INT8 TYPE_INT16 TYPE_INT32"
        " TYPE_INT64 TYPE_FP16 TYPE_FP32 TYPE_FP64 TYPE_STRING TYPE_BF16"
    )
}

_MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": "string name = 1; string version = 2",
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": "string name = 1; string version = 2",
    "TensorMetadata": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "ModelMetadataResponse": (
        "string name = 1; repeated string versions = 2; string platform = 3; repeated TensorMetadata inputs = 4;"
        " repeated TensorMetadata outputs = 5"
    ),
    "InferParameter": (
        "one bool bool_param = 1; one int64 int64_param = 2; one string string_param = 3; one double double_param = 4;"
        " one uint64 uint64_param = 5"
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3;"
        " repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;"
        " repeated double fp64_contents = 7; repeated bytes bytes_contents = 8"
    ),
    "InferInputTensor": (
        "string name = 1; string datatype = 2; repeated int64 shape = 3; map InferParameter parameters = 4;"
        " bytes contents = 5"
    ),
    "InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
    "ModelInferRequest": (
        "string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4;"
        " repeated InferInputTensor inputs = 5; repeated InferRequestedOutputTensor outputs = 6;"
        " repeated bytes raw_input_contents = 7"
    ),
    "InferOutputTensor": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "ModelInferResponse": (
        "string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4;"
        " repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6"
    ),
    "ModelStreamInferResponse": "string error_message = 1; ModelInferResponse infer_response = 2",
    "ModelInput": "string name = 1; DataType data_type = 2; repeated int64 dims = 4; bool optional = 8",
    "ModelOutput": "string name = 1; DataType data_type = 2; repeated int64 dims = 3",
    "ModelDynamicBatching": (
        "repeated int32 preferred_batch_size = 1; uint64 max_queue_delay_microseconds = 2; bool preserve_ordering = 3;"
        " uint64 priority_levels = 4; uint64 default_priority_level = 5"
    ),
    "ModelTransactionPolicy": "bool decoupled = 1",
    "ModelConfig": (
        "string name = 1; string platform = 2; int32 max_batch_size = 4; repeated ModelInput input = 5;"
        " repeated ModelOutput output = 6; one ModelDynamicBatching dynamic_batching = 11; string backend = 17;"
        " ModelTransactionPolicy model_transaction_policy = 19"
    ),
    "ModelConfigRequest": "string name = 1; string version = 2",
    "ModelConfigResponse": "ModelConfig config = 1",
    "ModelStatisticsRequest": "string name = 1; string version = 2",
    "StatisticDuration": "uint64 count = 1; uint64 ns = 2",
    "InferStatistics": (
        "StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3;"
        " StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5;"
        " StatisticDuration compute_output = 6; StatisticDuration cache_hit = 7; StatisticDuration cache_miss = 8"
    ),
    "InferBatchStatistics": (
        "uint64 batch_size = 1; StatisticDuration compute_input = 2; StatisticDuration compute_infer = 3;"
        " StatisticDuration compute_output = 4"
    ),
    "ModelStatistics": (
        "string name = 1; string version = 2; uint64 last_inference = 3; uint64 inference_count = 4;"
        " uint64 execution_count = 5; InferStatistics inference_stats = 6;"
        " repeated InferBatchStatistics batch_stats = 7"
    ),
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats = 1",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "ModelIndex": "string name = 1; string version = 2; string state = 3; string reason = 4",
    "RepositoryIndexResponse": "repeated ModelIndex models = 1",
    "ModelRepositoryParameter": (
        "one bool bool_param = 1; one int64 int64_param = 2; one string string_param = 3; one bytes bytes_param = 4"
    ),
    "RepositoryModelLoadRequest": (
        "string repository_name = 1; string model_name = 2; map ModelRepositoryParameter parameters = 3"
    ),
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": (
        "string repository_name = 1; string model_name = 2; map ModelRepositoryParameter parameters = 3"
    ),
    "RepositoryModelUnloadResponse": "",
}
# In the original some stand inside of others, which is the same on the wire.

_ANSWERED = (
    *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelStreamInfer"),
    *("ModelConfig", "ModelStatistics", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
)
_STREAMED = "ModelStreamInfer"

_FIELD = re.compile(r"(?:(one|repeated|map) )?(\w+) (\w+) = (\d+)")


def _add_field(message: DescriptorProto, found: re.Match[str]) -> None:
    label, kind, name, number = found.groups()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label == "one":  # there is at most one group of alternatives in a message
        if not message.oneof_decl:
            message.oneof_decl.add(name="one")
        field.oneof_index = 0
    if label in ("repeated", "map"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if label == "map":
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        key = FieldDescriptorProto.TYPE_STRING
        entry.field.add(name="key", number=1, type=key, label=FieldDescriptorProto.LABEL_OPTIONAL)
        value = entry.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL)
        _set_type(value, kind)
        _set_type(field, f"{message.name}.{entry.name}")
    else:
        _set_type(field, kind)


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    plain = f"TYPE_{kind.upper()}"
    if plain in FieldDescriptorProto.Type.keys():  # noqa: SIM118 - it is no dict
        field.type = FieldDescriptorProto.Type.Value(plain)
    else:
        field.type = FieldDescriptorProto.TYPE_ENUM if kind in _ENUMS else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"


def described() -> FileDescriptorProto:
    """Return the file as clients see it: the types of all fields as in the original, and the service."""
    file = _file()
    (tensor,) = (message for message in file.message_type if message.name == "InferInputTensor")
    _set_type(tensor.field[-1], "InferTensorContents")
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for name in _ANSWERED:
        streamed = name == _STREAMED
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.{'ModelInfer' if streamed else name}Request",
            output_type=f".{PACKAGE}.{name}Response",
            client_streaming=streamed,
            server_streaming=streamed,
        )
    return file


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="dure/open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for found in _FIELD.finditer(fields):
            _add_field(message, found)
    return file


def _built() -> Any:
    pool = DescriptorPool()
    pool.Add(_file())
    return SimpleNamespace(
        **{name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _MESSAGES}
    )


messages: Any = _built()
"""The classes of the messages, by name."""
