"""The messages of the Open Inference Protocol, held against those of a real client."""

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from dure.document.oip_messages import messages

NAMES = sorted(vars(messages))


def described(field: FieldDescriptor) -> tuple[Any, ...]:
    named = field.message_type or field.enum_type
    return field.number, field.is_repeated, field.type, named and named.name


@pytest.mark.parametrize("name", NAMES)
def test_fields_are_those_of_the_client(name: str) -> None:
    from tritonclient.grpc import model_config_pb2, service_pb2

    outer = ("ModelMetadataResponse", "ModelInferRequest", "ModelInferResponse", "RepositoryIndexResponse")
    places = (service_pb2, model_config_pb2, *(getattr(service_pb2, one) for one in outer))
    theirs = next(getattr(place, name) for place in places if hasattr(place, name)).DESCRIPTOR.fields_by_name
    for field in getattr(messages, name).DESCRIPTOR.fields:
        if (name, field.name) == ("InferInputTensor", "contents"):
            assert field.number == theirs[field.name].number
            assert field.type == FieldDescriptor.TYPE_BYTES, "is read by the worker"
        else:
            assert described(field) == described(theirs[field.name]), field.name


def test_types_are_those_of_the_client() -> None:
    from tritonclient.grpc import model_config_pb2

    ours = messages.ModelInput.DESCRIPTOR.fields_by_name["data_type"].enum_type.values
    assert {value.name: value.number for value in ours} == dict(model_config_pb2.DataType.items())


@pytest.mark.parametrize(
    "order", ["dure.document.oip_messages, tritonclient.grpc", "tritonclient.grpc, dure.document.oip_messages"]
)
def test_the_client_lives_in_the_same_process(order: str) -> None:
    """In protobuf's own pool the messages of one would be a conflict with the other's."""
    program = (
        f"import {order}\n"
        "from dure.document.oip_messages import messages\n"
        "from tritonclient.grpc import service_pb2\n"
        "ours = messages.ModelInferRequest(model_name='m', inputs=[{'name': 'text', 'shape': [2]}])\n"
        "ours.parameters['k'].double_param = 0.5\n"
        "theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())\n"
        "assert theirs.parameters['k'].double_param == 0.5\n"
        "assert theirs.SerializeToString(deterministic=True) == ours.SerializeToString(deterministic=True)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
