"""An input's values, as the transports hand them in, to one flat array for a whole batch.

Python float objects are the most expensive part of a JSON request with many features. `jobs.Numbers` are the elements
as the text they arrived in: simdjson parses the texts of all jobs in one call and straight into an array. Behind each
text comes a mark, a number that no client can guess: where all marks are in their places, every text had as many
numbers as its request says. Otherwise each request is read again the general way, which finds out whose fault it is.

A few numbers that come alone take plain Python: numpy's price is the call, and more than that the code behind it, which
is in no cache when a request comes after some silence.
"""

from __future__ import annotations

import contextvars
import itertools
import secrets
import struct
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np
import simdjson

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session

_PACKED = {"FP32": "f", "FP64": "d"}
FEW = 64
"""Values up to which plain Python is quicker."""
_MARK_BITS = 53
"""A whole number of so many bits is the same as a float."""


class Converter:
    """For one input. Not for several threads at a time: simdjson keeps its memory between calls."""

    def __init__(self, spec: schema.TensorSpec) -> None:
        self._spec = spec
        self._dtype = datatypes.BY_NAME[spec.datatype].dtype
        self._code = _PACKED.get(spec.datatype)
        self._parse = simdjson.Parser().parse
        self._read = msgspec.json.Decoder(list[float]).decode
        self._lenient = contextvars.copy_context()  # entering one costs a tenth of `np.errstate`
        self._lenient.run(np.seterr, over="ignore")  # what is beyond the type becomes infinite and is refused as such
        self._mark = secrets.randbits(_MARK_BITS)
        self._mark_between, self._mark_bytes = b",%d," % self._mark, struct.pack("d", self._mark)

    def joined(self, parts: Sequence[jobs.Values]) -> session.Array:
        """All elements of all parts, in order; raises `RequestError` when one does not fit the datatype."""
        kind = type(parts[0])
        if len(parts) == 1 or all(type(part) is kind for part in parts):
            if kind is jobs.Numbers:
                found = self._numbers(cast(Sequence[jobs.Numbers], parts))
                if found is not None:
                    return found
            elif kind is list:
                lists = cast(Sequence[list[Any]], parts)
                return self._listed(list(itertools.chain.from_iterable(lists)) if len(lists) > 1 else lists[0])
        arrays = [self._alone(part) for part in parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def _alone(self, part: jobs.Values) -> session.Array:
        if isinstance(part, jobs.Numbers):
            found = self._numbers([part])
            return self._listed(part.again(part.body)) if found is None else found
        return self._listed(part) if isinstance(part, list) else part.reshape(-1)

    def _numbers(self, parts: Sequence[jobs.Numbers]) -> session.Array | None:
        size, texts = parts[0].size, parts[0].texts
        if len(parts) > 1:
            if any(part.size != size for part in parts):
                return None
            texts = [text for part in parts for text in part.texts]
        elif len(texts) == 1 and size <= FEW and self._code is not None:
            return self._few(texts[0], size, self._code)
        several = len(texts) > 1
        text = self._mark_between.join(texts) if several else texts[0]
        if b"]" in text:
            return None
        try:
            parsed = cast(simdjson.Array, self._parse(b"[%b,%d]" % (text, self._mark) if several else b"[%b]" % text))
            found = np.frombuffer(parsed.as_buffer(of_type="d"))
            if several:
                marked = found.reshape(len(texts), size + 1)
                found = marked[:, :size]
                if marked[:, size].tobytes() != self._mark_bytes * len(texts):
                    return None
        except (ValueError, TypeError, RuntimeError):  # not JSON, or null, true, a string, or not that many
            return None
        if found.size != len(texts) * size:
            return None
        values: session.Array = self._lenient.run(found.astype, self._dtype)
        return values.reshape(-1)

    def _few(self, text: bytes, size: int, code: str) -> session.Array | None:
        try:
            packed = struct.pack(f"{size}{code}", *self._read(b"[%b]" % text))
            return np.frombuffer(packed, self._dtype)
        except (msgspec.MsgspecError, struct.error, OverflowError, ValueError):
            return None  # not JSON, or null, true, a string, or not that many, or a number beyond the type

    def _listed(self, values: Any) -> session.Array:
        if self._code is not None:
            result = np.empty(len(values), self._dtype)
            try:
                struct.pack_into(f"{len(values)}{self._code}", result.data, 0, *values)  # a third of np.array's time
            except (struct.error, OverflowError):
                pass  # null for a missing value, or a number beyond the type: numpy has an answer for both
            else:
                return result
        try:
            with np.errstate(over="ignore"):
                return np.array(values, self._dtype)
        except OverflowError:
            raise errors.RequestError(
                400,
                f"input {self._spec.name!r}: a value does not fit {self._spec.datatype}",
                code="OutOfDatatype",
                details={"input": self._spec.name, "reason": f"does not fit {self._spec.datatype}"},
            ) from None
