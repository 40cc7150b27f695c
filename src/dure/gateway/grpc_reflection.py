"""What the gRPC door tells of its services, so that `grpcurl` and the like can call them without their files.

In both versions of the protocol, which differ in their name alone. Knows nothing of what the services do.
"""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.text_format import MessageToString, Parse
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as pb

from dure.document import dure_pb2
from dure.document.oip_messages import described

_PACKAGES = ("grpc.reflection.v1alpha", "grpc.reflection.v1")


def handlers_of(services: Iterable[str], files: Iterable[Any] = ()) -> "tuple[grpc.GenericRpcHandler[Any, Any], ...]":
    """Return what a server is given to tell of services, and of telling itself.

    Args:
        services: Full names of services in `dure.proto`, of the Open Inference Protocol or of health, or of `files`.
        files: Descriptors of other files in which services are.
    """
    tells = [f"{package}.ServerReflection" for package in _PACKAGES]
    tell: Any = reflection.aio  # type: ignore[attr-defined]  # the stubs lack it
    servicer = tell.ReflectionServicer([*services, *tells], pool=_pool(files))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        pb.ServerReflectionRequest.FromString,
        pb.ServerReflectionResponse.SerializeToString,
    )
    return tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in tells)


def _pool(files: Iterable[Any]) -> DescriptorPool:
    # One of its own: messages of the Open Inference Protocol are not in the one that everybody shares.
    pool = DescriptorPool()
    for file in (dure_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, pb.DESCRIPTOR, *files):
        pool.AddSerializedFile(file.serialized_pb)
    pool.Add(described())
    older, newer = _PACKAGES
    text = MessageToString(FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb))
    renamed = text.replace(older, newer).replace(pb.DESCRIPTOR.name, newer.replace(".", "/") + "/reflection.proto")
    pool.Add(Parse(renamed, FileDescriptorProto()))
    return pool
