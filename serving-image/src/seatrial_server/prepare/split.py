"""A large .onnx file as a small graph and a file of weights beside it, without ever holding the weights in memory.

Protobuf's Python library copies what it parses, twice. The format is simple enough to walk: fields of the model, of its
graph, of each initializer; large `raw_data` is copied to the file, and the tensor says where it is, as external data.
Whatever is odd about the file is left for protobuf to refuse. Runs in the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import onnx

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_SMALL = 1024
_ALIGNED = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(Exception):
    """These bytes are no protobuf message."""


def graph(content: memoryview, weights: IO[bytes], *, location: str) -> onnx.ModelProto:
    """The model whose large initializers are in `weights`, which is called `location`."""
    parts = []
    for number, whole, inner in _fields(content):
        parts.append(_field(_GRAPH, _graph(inner, weights, location)) if number == _GRAPH else bytes(whole))
    model = onnx.ModelProto()
    model.ParseFromString(b"".join(parts))
    return model


def _graph(content: memoryview, weights: IO[bytes], location: str) -> bytes:
    parts = []
    for number, whole, inner in _fields(content):
        tensor = _moved(inner, weights, location) if number == _INITIALIZER and len(inner) > _SMALL else None
        parts.append(bytes(whole) if tensor is None else _field(_INITIALIZER, tensor))
    return b"".join(parts)


def _moved(content: memoryview, weights: IO[bytes], location: str) -> bytes | None:
    """The initializer with its data in the file; None where they aren't raw."""
    rest, data = [], None
    for number, whole, inner in _fields(content):
        if number == _RAW_DATA:
            data = inner
        else:
            rest.append(bytes(whole))
    if data is None or len(data) <= _SMALL:
        return None
    tensor = onnx.TensorProto()
    tensor.ParseFromString(b"".join(rest))
    weights.write(bytes(-weights.tell() % _ALIGNED))
    where = {"location": location, "offset": str(weights.tell()), "length": str(len(data))}
    weights.write(data)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in where.items():
        tensor.external_data.add(key=key, value=value)
    serialized: bytes = tensor.SerializeToString()
    return serialized


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, the field as it stands, and what is inside of one that has a length."""
    place, end = 0, len(content)
    while place < end:
        start = place
        key, place = _varint(content, place)
        kind, inner = key & 7, content[:0]
        if kind == _VARINT:
            _, place = _varint(content, place)
        elif kind == _BYTES:
            size, place = _varint(content, place)
            inner, place = content[place : place + size], place + size
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise Malformed
        if place > end:
            raise Malformed
        yield key >> 3, content[start:place], inner


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise Malformed
        byte = content[place]
        value, place = value | (byte & 0x7F) << shift, place + 1
        if byte < 0x80:
            return value, place
    raise Malformed


def _field(number: int, content: bytes) -> bytes:
    head, size = bytearray([number << 3 | _BYTES]), len(content)
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content
