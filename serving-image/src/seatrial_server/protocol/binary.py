"""The binary tensor extension: little-endian, row-major, no padding; BYTES elements carry a four-byte length. Pure."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session

_LENGTH = struct.Struct("<I")


def header_length(value: bytes, body_length: int) -> int:
    """Inference-Header-Content-Length as a number within the body."""
    if not value.isdigit() or len(value) > 12 or int(value) > body_length:
        raise _bad("Inference-Header-Content-Length must be a number of bytes within the body")
    return int(value)


class Cursor:
    """Takes one tensor after the other from the part behind the JSON header."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._position = start

    def take(self, name: str, size: Any) -> bytes:
        """The next `size` bytes."""
        if type(size) is not int or size < 0:
            raise _bad(f"input {name!r}: binary_data_size must be a number of bytes")
        part = self._body[self._position : self._position + size]
        if len(part) != size:
            raise _bad(f"input {name!r}: binary_data_size is {size}, the body has {len(part)} bytes left")
        self._position += size
        return part

    def finish(self) -> None:
        """Everything must have been taken."""
        left = len(self._body) - self._position
        if left:
            raise _bad(f"the body has {left} bytes more than the inputs announce")


def array(part: bytes, spec: schema.TensorSpec) -> session.Array:
    """The flat array in these bytes."""
    if spec.datatype == "BYTES":
        return np.array(_strings(part, spec.name), np.object_)
    dtype = datatypes.BY_NAME[spec.datatype].dtype
    if len(part) % dtype.itemsize:
        raise _bad(f"input {spec.name!r}: {len(part)} bytes are not a whole number of {spec.datatype} elements")
    result = np.frombuffer(part, np.uint8 if spec.datatype == "BOOL" else dtype)
    if spec.datatype == "BOOL":
        if (result > 1).any():
            raise _bad(f"input {spec.name!r}: a BOOL byte must be 0 or 1")
        return result.astype(np.bool_)
    return result


def encoded(values: session.Array, datatype: str) -> bytes:
    """An output as bytes."""
    if datatype != "BYTES":
        return np.ascontiguousarray(values).tobytes()
    parts = []
    for value in values.reshape(-1):
        text = value.encode() if isinstance(value, str) else bytes(value)
        parts += [_LENGTH.pack(len(text)), text]
    return b"".join(parts)


def _strings(part: bytes, name: str) -> list[str]:
    result, position = [], 0
    while position < len(part):
        if len(part) - position < 4:
            raise _bad(f"input {name!r}: a BYTES element lacks its four-byte length")
        (length,) = _LENGTH.unpack_from(part, position)
        position += 4
        element = part[position : position + length]
        if len(element) != length:
            raise _bad(f"input {name!r}: a BYTES element announces {length} bytes, {len(element)} are left")
        try:
            result.append(element.decode())
        except UnicodeDecodeError:
            raise _bad(f"input {name!r}: a BYTES element is not UTF-8, which ONNX strings are") from None
        position += length
    return result


def _bad(message: str) -> errors.RequestError:
    return errors.RequestError(400, message, code="InvalidRequest")
