"""Requests that equal an earlier one but for their values: what follows from the equal bytes is known already.

A client sends the same names, shapes and parameters again and again. Everything that was checked about them stays true
for the same bytes, so a request whose other bytes are known needs its values looked at and nothing else. Requests with
an id in the body are not kept: they never repeat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from seatrial_server.engine import jobs
from seatrial_server.model import schema
from seatrial_server.protocol import binary
from seatrial_server.protocol.signature import Decoded, Reply

_MAX_KNOWN = 256
_MAX_BYTES = 4096
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def keep(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Remember within bounds: what never repeats must not fill the memory."""
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = value


class Kind(msgspec.Struct, frozen=True):
    """What requests of one row have in common that can share an array."""

    row_shape: tuple[int, ...]
    row_size: int
    as_text: bool
    """The values are JSON numbers, not a binary tensor."""
    reply_binary: bool
    token: bool

    @staticmethod
    def of(decoded: Decoded, *, as_text: bool) -> Kind | None:
        """None for a request that has anything special: rows, inputs, outputs, a deadline."""
        if len(decoded.shapes) != 1 or decoded.timeout or decoded.reply.uniform is None:
            return None
        [shape] = decoded.shapes
        if shape[:1] != (1,):
            return None
        return Kind(shape[1:], math.prod(shape), as_text, decoded.reply.uniform, decoded.reply.token)


class Plain(msgspec.Struct, frozen=True):
    """What follows from the name, datatype and shape of the only input of a request that wants nothing special."""

    shapes: list[tuple[int, ...]]
    rows: int
    size: int
    reply: Reply
    kind: Kind | None

    @staticmethod
    def of(decoded: Decoded, shape: Sequence[int]) -> Plain:
        """From a request that was decoded the general way."""
        return Plain(decoded.shapes, decoded.rows, math.prod(shape), decoded.reply, Kind.of(decoded, as_text=True))


class Form(msgspec.Struct, frozen=True):
    """The bytes of a JSON body before its numbers, and behind them."""

    start: bytes
    rest: bytes
    plain: Plain


class Forms:
    """Plain JSON requests by the bytes before their numbers. The numbers are left as text: see `conversion`."""

    def __init__(self, again: Callable[[bytes], list[Any]]) -> None:
        self._again = again
        self._known: dict[bytes, Form] = {}

    def find(self, data: bytes, begin: int = 0) -> Form | None:
        """That of the request whose body begins there, if all but its numbers is known."""
        start = data.find(b"[", data.find(b'"data"', begin)) + 1
        form = self._known.get(data[begin:start])
        return form if form is not None and data[data.find(b"]", start) :] == form.rest else None

    def decode(self, body: bytes) -> Decoded | None:
        """The request, if all of it but the numbers is known."""
        form = self.find(body)
        if form is None:
            return None
        plain = form.plain
        numbers = jobs.Numbers((body[len(form.start) : -len(form.rest)],), plain.size, body, self._again)
        return Decoded("", [numbers], plain.shapes, plain.rows, plain.reply)

    def learn(self, body: bytes, data: list[Any], plain: Plain) -> None:
        """Only when the one `"data"` of the body is the tensor's: no other, and none spelled with an escape."""
        start = body.find(b"[", body.find(b'"data"')) + 1
        end = body.find(b"]", start)
        if start > _MAX_BYTES or len(body) - end > _MAX_BYTES or body.count(b'"data"') != 1 or b"\\" in body:
            return
        if msgspec.json.decode(b"[%b]" % body[start:end]) == data:
            keep(self._known, body[:start], Form(body[:start], body[end:], plain))


class Layout(msgspec.Struct, frozen=True):
    """A JSON part, and the binary tensors behind it."""

    head: bytes
    parts: tuple[tuple[int, schema.TensorSpec, int], ...]
    total: int
    decoded: Decoded
    """With the values of another body."""
    kind: Kind | None


class Layouts:
    """Requests with nothing but binary tensors, by their JSON part."""

    def __init__(self, model: schema.Schema) -> None:
        self._inputs = model.inputs
        self._known: dict[bytes, Layout] = {}

    def find(self, head: bytes, size: int) -> Layout | None:
        """What is known of the request, if its JSON part is known and its binary part is as long as that says."""
        layout = self._known.get(head)
        return layout if layout is not None and size == layout.total else None

    def decode(self, head: bytes, body: bytes) -> Decoded | None:
        """The request, if it is known."""
        layout = self.find(head, len(body) - len(head))
        if layout is None:
            return None
        start, known = len(head), layout.decoded
        values: list[Any] = [None] * len(layout.parts)
        for place, spec, size in layout.parts:
            values[place] = binary.array(body[start : start + size], spec)
            start += size
        return Decoded("", values, known.shapes, known.rows, known.reply, known.timeout)

    def learn(self, head: bytes, places: Sequence[int], decoded: Decoded) -> None:
        """`places` are the inputs in the order of the request. The size of strings does not follow from their shape."""
        specs = [self._inputs[place] for place in places]
        if len(head) > _MAX_BYTES or any(spec.datatype == "BYTES" for spec in specs):
            return
        sizes = [decoded.values[place].nbytes for place in places]  # type: ignore[union-attr]  # all are arrays
        parts = tuple(zip(places, specs, sizes, strict=True))
        keep(self._known, head, Layout(head, parts, sum(sizes), decoded, Kind.of(decoded, as_text=False)))
