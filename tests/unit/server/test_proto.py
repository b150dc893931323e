"""The compiled .proto is what is in use; this keeps it in step with its source."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from seatrial_server.protocol.rpc import messages


def test_the_compiled_proto_is_up_to_date(tmp_path: Path) -> None:
    source, target = messages.COMPILED.with_suffix(".proto"), tmp_path / "compiled"
    assert protoc.main(["", f"-I{source.parent}", f"--descriptor_set_out={target}", source.name]) == 0
    assert read(target) == read(messages.COMPILED), "run `make generate`"


def read(path: Path) -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
