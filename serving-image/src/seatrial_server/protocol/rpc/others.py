"""What the gRPC port offers beside the V2 service: health (grpc.health.v1), reflection, and a word for unknown calls.

Balancers, meshes and the kubelet ask for health; grpcurl and its like read the messages by reflection. The library's
own health servicer is not used: it forgets who watches a service when one of several watchers leaves, and its streams
never end, so a stopping server would wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import message as protobuf
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import _async as reflection_library
from grpc_reflection.v1alpha import reflection_pb2

from seatrial_server.protocol import documents, revision
from seatrial_server.protocol.rpc import messages

HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
"""Both have the same messages; only the older is described by the library."""
_Status = health_pb2.HealthCheckResponse


class Others(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Answers every call that it is asked for, so it has to come last. Belongs to the event loop."""

    def __init__(self, about: documents.Documents, known: messages.Messages) -> None:
        self._about, self._mark = about, revision.metadata(about.identity.revision)
        self._healthy = ("", about.identity.model, messages.SERVICE)
        self._leaving, self._ended = asyncio.Event(), asyncio.Event()
        pool = known.pool
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            pool.AddSerializedFile(file.serialized_pb)
        services = (messages.SERVICE, HEALTH, REFLECTION[0])
        self._reflection = reflection_library.ReflectionServicer(services, pool)
        reflect = grpc.stream_stream_rpc_method_handler(
            self._reflect, reflection_pb2.ServerReflectionRequest.FromString, _serialized
        )
        self._methods = {
            f"/{HEALTH}/Check": grpc.unary_unary_rpc_method_handler(self._check, response_serializer=_serialized),
            f"/{HEALTH}/Watch": grpc.unary_stream_rpc_method_handler(self._watch, response_serializer=_serialized),
            **{f"/{name}/ServerReflectionInfo": reflect for name in REFLECTION},
        }
        self._unknown = grpc.stream_stream_rpc_method_handler(self._refuse)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """See `grpc.GenericRpcHandler`."""
        return self._methods.get(details.method, self._unknown)

    def leave(self) -> None:
        """Tell who watches that the server is not ready any more."""
        self._leaving.set()

    def end(self) -> None:
        """End the streams of those who watch: the port is about to close."""
        self._ended.set()

    async def _check(self, body: bytes, context: Any) -> Any:
        context.set_trailing_metadata(self._mark)
        name = await self._service_of(body, context)
        if name not in self._healthy:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {name[:200]!r}", self._mark)
        return self._status()

    async def _watch(self, body: bytes, context: Any) -> AsyncIterator[Any]:
        context.set_trailing_metadata(self._mark)
        name = await self._service_of(body, context)
        if name not in self._healthy:
            yield _Status(status=_Status.SERVICE_UNKNOWN)
        else:
            if self._about.ready:
                yield self._status()
                await self._leaving.wait()
            yield self._status()
        await self._ended.wait()

    async def _service_of(self, body: bytes, context: Any) -> str:
        try:
            name: str = health_pb2.HealthCheckRequest.FromString(body).service
        except protobuf.DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is no HealthCheckRequest", self._mark)
        return name

    def _status(self) -> Any:
        return _Status(status=_Status.SERVING if self._about.ready else _Status.NOT_SERVING)

    async def _reflect(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        context.set_trailing_metadata(self._mark)
        async for answer in self._reflection.ServerReflectionInfo(requests, context):
            yield answer

    async def _refuse(self, _: AsyncIterator[bytes], context: Any) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this port has no such call", self._mark)


def _serialized(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content
