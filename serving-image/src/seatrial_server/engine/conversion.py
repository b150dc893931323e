"""An input's values, as the transports hand them in, to one flat array for a whole batch.

Python float objects are the most expensive part of a JSON request with many features. `jobs.Numbers` are the elements
as the text they arrived in: simdjson parses the texts of all jobs in one call and straight into an array. No text holds
a closing bracket, so together they are an array of arrays of numbers, each as long as its request says, or something is
wrong with one of them; then each request is read again the general way, which finds out whose fault it is and says so.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence, Sized
from typing import Any, cast

import numpy as np
import simdjson

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session

_PACKED = {"FP32": "f", "FP64": "d"}


class Converter:
    """For one input. Not for several threads at a time: simdjson keeps its memory between calls."""

    def __init__(self, spec: schema.TensorSpec) -> None:
        self._spec = spec
        self._dtype = datatypes.BY_NAME[spec.datatype].dtype
        self._code = _PACKED.get(spec.datatype)
        self._parse = simdjson.Parser().parse

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
            return self._listed(part.again(part.body))
        return self._listed(part) if isinstance(part, list) else part.reshape(-1)

    def _numbers(self, parts: Sequence[jobs.Numbers]) -> session.Array | None:
        try:
            texts = [text for part in parts for text in part.texts]
            parsed = cast(simdjson.Array, self._parse(b"[[%b]]" % b"],[".join(texts)))
            result = np.frombuffer(parsed.as_buffer(of_type="d"))
        except (ValueError, TypeError, RuntimeError):  # not JSON, or null, true, a string, or nested too deeply
            return None
        if [len(cast(Sized, row)) for row in parsed] != [part.size for part in parts for _ in part.texts]:
            return None
        with np.errstate(over="ignore"):  # a number beyond the float type becomes infinite and is refused as such
            return result.astype(self._dtype)

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
