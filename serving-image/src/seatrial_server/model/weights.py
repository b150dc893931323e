"""A large .onnx file as a small graph and a file of weights beside it, without ever holding the weights in memory.

ONNX Runtime parses a file into one copy of its weights and makes another from that, and protobuf's Python library
copies twice as well; weights in a file of their own are mapped, so that the only copy is the one in the order that is
quickest. The format is simple enough to walk: fields of the model, of its graph, of each initializer; large `raw_data`
is copied to the file, and the tensor says where it is, as external data. Whatever is odd about the file is left for
others to refuse. Needs no library but numpy: the server uses it too.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

LARGE = 64 * 1024**2
"""Files above it are split."""
SMALL = 1024
"""Weights up to it stay in the graph."""
_GRAPH, _INITIALIZER = 7, 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 9, 13, 14, 1
_ALIGNED = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Part = bytes | memoryview


class Malformed(Exception):
    """These bytes are no protobuf message."""


@contextlib.contextmanager
def beside(path: Path, folder: Path) -> Iterator[Path]:
    """A file to open the model from, whose weights take no memory of their own; the file itself, if it is small.

    Args:
        folder: where there is room for another copy, which is gone afterwards; what was mapped stays mapped.
    """
    if path.stat().st_size <= LARGE:
        yield path
        return
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        graph = Path(scratch) / "mapped.onnx"
        parts = split(path, graph.with_suffix(".weights"))
        with graph.open("wb") as file:
            file.writelines(parts)
        yield graph


def split(path: Path, weights: Path) -> list[_Part]:
    """The graph in parts, which refers to the written file of weights by its name."""
    pages = np.memmap(path, np.uint8, "r")
    with weights.open("wb") as file:
        return graph(pages.data, file, location=weights.name)


def graph(content: memoryview, weights: IO[bytes], *, location: str) -> list[_Part]:
    """The model in parts, its large initializers in `weights`, which is called `location`."""
    parts: list[_Part] = []
    for number, whole, inner in _fields(content):
        parts += _field(_GRAPH, _graph(inner, weights, location)) if number == _GRAPH else [whole]
    return parts


def append(data: _Part, weights: IO[bytes]) -> int:
    """Where in the file it is now."""
    weights.write(bytes(-weights.tell() % _ALIGNED))
    place = weights.tell()
    weights.write(data)
    return place


def joined(graph: Path) -> list[_Part]:
    """The whole model in parts: what `split` took apart, maybe changed since, with the weights inside."""
    file = graph.with_suffix(".weights")
    weights = np.memmap(file, np.uint8, "r").data if file.stat().st_size else memoryview(b"")
    parts: list[_Part] = []
    for number, whole, inner in _fields(memoryview(graph.read_bytes())):
        parts += _field(_GRAPH, _whole(inner, weights)) if number == _GRAPH else [whole]
    return parts


def _whole(content: memoryview, weights: memoryview) -> list[_Part]:
    parts: list[_Part] = []
    for number, whole, inner in _fields(content):
        parts += _field(_INITIALIZER, _filled(inner, weights)) if number == _INITIALIZER else [whole]
    return parts


def _filled(content: memoryview, weights: memoryview) -> list[_Part]:
    rest: list[_Part] = []
    place: dict[bytes, bytes] = {}
    for number, whole, inner in _fields(content):
        if number == _EXTERNAL_DATA:
            entry = {key: bytes(value) for key, _, value in _fields(inner)}
            place[entry[1]] = entry[2]
        elif number != _DATA_LOCATION:
            rest.append(whole)
    if not place:
        return [content]
    start, size = int(place.get(b"offset", 0)), len(weights)
    return [*rest, *_field(_RAW_DATA, [weights[start : start + int(place.get(b"length", size))]])]


def _graph(content: memoryview, weights: IO[bytes], location: str) -> list[_Part]:
    parts: list[_Part] = []
    for number, whole, inner in _fields(content):
        tensor = _moved(inner, weights, location) if number == _INITIALIZER and len(inner) > SMALL else None
        parts += [whole] if tensor is None else _field(_INITIALIZER, tensor)
    return parts


def _moved(content: memoryview, weights: IO[bytes], location: str) -> list[_Part] | None:
    """The initializer with its data in the file; None where they aren't raw."""
    rest: list[_Part] = []
    data = content[:0]
    for number, whole, inner in _fields(content):
        if number == _RAW_DATA:
            data = inner
        elif number == _EXTERNAL_DATA:
            return None
        elif number != _DATA_LOCATION:
            rest.append(whole)
    if len(data) <= SMALL:
        return None
    where = {"location": location, "offset": append(data, weights), "length": len(data)}
    for key, value in where.items():
        rest += _field(_EXTERNAL_DATA, [*_field(1, [key.encode()]), *_field(2, [str(value).encode()])])
    return [*rest, bytes([_DATA_LOCATION << 3 | _VARINT, _EXTERNAL])]


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


def _field(number: int, content: list[_Part]) -> list[_Part]:
    head, size = bytearray([number << 3 | _BYTES]), sum(map(len, content))
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return [bytes(head), *content]
