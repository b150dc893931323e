"""Message classes of open_inference.proto.

They live in a descriptor pool of their own: every V2 client library registers a package `inference` in protobuf's
default pool, and two of them in one process refuse each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COMPILED = Path(__file__).with_name("open_inference.binpb")
SERVICE = "inference.GRPCInferenceService"


class Messages:
    """Request and response class of every call, by the call's name; `pool` describes them."""

    def __init__(self) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(COMPILED.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.AddSerializedFile(file.SerializeToString())
        methods = self.pool.FindServiceByName(SERVICE).methods
        self.request: dict[str, Any] = {one.name: message_factory.GetMessageClass(one.input_type) for one in methods}
        self.response: dict[str, Any] = {one.name: message_factory.GetMessageClass(one.output_type) for one in methods}
