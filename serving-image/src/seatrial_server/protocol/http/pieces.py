"""Large JSON bodies, read in pieces, in a thread.

A parser written in C keeps the interpreter to itself, and with it the event loop, until it is done: a second for 64 MB.
Nearly all of a large body is numbers in arrays called `data`. So these are cut out, unread; what is left is small and
takes the usual way; and the numbers go into an array of the input's type piece by piece, which also takes a tenth of
the memory that a list would. Whatever is wrong with them gets the usual refusal.
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from seatrial_server.engine import conversion
from seatrial_server.model import datatypes, schema, session
from seatrial_server.protocol import signature

PIECE = 64 * 1024
_KEY = re.compile(rb'"data"\s*:\s*(?=\[)')
_RUN = re.compile(rb'[^"{}:\\]*+')
_OPEN = re.compile(rb"\s*((?:\[\s*)+)")
_SPACE = b" \t\r\n"


class Text(msgspec.Struct, frozen=True):
    """An array of a body as it was written, brackets included."""

    body: bytes
    begin: int
    end: int

    def commas(self) -> int:
        """How many there are: one less than elements, however nested."""
        places = range(self.begin, self.end, PIECE)
        return sum(self.body.count(b",", place, min(place + PIECE, self.end)) for place in places)


def cut(body: bytes) -> tuple[bytes, dict[str, Text]]:
    """The body with a name in the place of every large array of numbers, and the arrays by these names."""
    token, position = secrets.token_hex(16), 0
    found: dict[str, Text] = {}
    parts: list[bytes] = []
    while (key := body.find(b'"data"', position)) >= 0:
        match = _KEY.match(body, key)
        begin = match.end() if match else key + 6
        end = _end_of_run(body, begin) if match else begin
        if end - begin <= PIECE:
            parts.append(body[position:end])
        else:
            name = f"{token}{len(found)}"
            found[name] = Text(body, begin, end)
            parts.append(b'%b"%b"' % (body[position:begin], name.encode()))
        position = end
    return (b"".join([*parts, body[position:]]) if found else body), found


def _end_of_run(body: bytes, begin: int) -> int:
    """Behind the last bracket before anything that no array of numbers has."""
    place = begin
    while place < len(body):
        match = _RUN.match(body, place, place + PIECE)
        assert match is not None  # it may be empty  # noqa: S101
        place = match.end()
        if place != match.endpos:
            break
    return max(body.rfind(b"]", begin, place) + 1, begin)


class Arrays:
    """Reads the arrays of one input. `check` is called with elements of the wrong type and says what is wrong."""

    def __init__(self, spec: schema.TensorSpec, *, check: Callable[[list[Any], int], None]) -> None:
        self._spec, self._check = spec, check
        self._joined = conversion.Converter(spec).joined
        element = datatypes.BY_NAME[spec.datatype].element or object
        self._decode = msgspec.json.Decoder(list[element]).decode  # type: ignore[valid-type]

    def read(self, text: Text, shape: Sequence[int], *, reserve: Callable[[int], None]) -> session.Array:
        """The elements in order; `reserve` is told the bytes before they are taken, and called for each piece."""
        self._check([], 0)
        elements = text.commas() + 1
        signature.check_size(self._spec.name, elements, shape)
        dtype = datatypes.BY_NAME[self._spec.datatype].dtype
        reserve(elements * dtype.itemsize)
        result = np.empty(elements, dtype)
        place = 0
        for numbers in self._numbers(text, shape):
            reserve(0)
            values = self._joined([self._elements(numbers, place)])
            if place + len(values) > elements:
                break
            result[place : place + len(values)] = values
            place += len(values)
        signature.check_size(self._spec.name, place, shape)
        return result

    def _elements(self, numbers: bytes, place: int) -> list[Any]:
        content = b"[%b]" % numbers
        try:
            return self._decode(content)
        except msgspec.ValidationError:
            values: list[Any] = msgspec.json.decode(content)
            self._check(values, place)
            return values

    def _numbers(self, text: Text, shape: Sequence[int]) -> Iterator[bytes]:
        """The elements as text without brackets."""
        opening = _OPEN.match(text.body, text.begin, text.end)
        depth = opening[1].count(b"[") if opening else 0
        if opening is None or depth not in (1, len(shape)):
            raise self._misfit(shape)
        if depth == 1:
            yield from _pieces(text.body, opening.end(), text.end - 1)
        else:
            yield from self._rows(text, opening.end(), shape)

    def _rows(self, text: Text, begin: int, shape: Sequence[int]) -> Iterator[bytes]:
        """Fully nested data: every bracket is where the shape says, or the data do not fit it."""
        between = [re.compile(rb"\s*(?:\]\s*){%d},\s*(?:\[\s*){%d}" % (n, n)) for n in range(1, len(shape))]
        sizes = list(itertools.accumulate(reversed(shape[1:-1]), lambda one, other: one * other))
        waiting: list[bytes] = []
        held, count = 0, math.prod(shape[:-1])
        for row in range(1, count + 1):
            end = text.body.find(b"]", begin, text.end)
            numbers = text.body[begin:end]
            if end < 0 or numbers.count(b",") + 1 != shape[-1] or b"[" in numbers:
                raise self._misfit(shape)
            waiting.append(numbers)
            held += len(numbers)
            if held > PIECE or row == count:
                yield b",".join(waiting)
                waiting, held = [], 0
            if row < count:
                gap = between[sum(row % size == 0 for size in sizes)].match(text.body, end, text.end)
                if gap is None:
                    raise self._misfit(shape)
                begin = gap.end()
        if text.body[end : text.end].translate(None, _SPACE) != b"]" * len(shape):
            raise self._misfit(shape)

    def _misfit(self, shape: Sequence[int]) -> Exception:
        return signature.bad_input(self._spec.name, f"has nested data that does not fit its shape {list(shape)}")


def _pieces(body: bytes, begin: int, end: int) -> Iterator[bytes]:
    while begin <= end:
        comma = body.find(b",", min(begin + PIECE, end), end)
        stop = end if comma < 0 else comma
        yield body[begin:stop]
        begin = stop + 1
