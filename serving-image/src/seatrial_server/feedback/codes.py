"""A row's answer in four bytes, as it stands in a token, and what a label means beside it. Pure.

Classes: the place in `labels` of `model.yaml` where there are any, a whole number as it is, a text by its checksum.
Numbers: as a float of four bytes. What an answer is, `model.answers` decides, as for the trial and the shadow.
"""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from seatrial_server.model import answers, datatypes, schema, session

Kind = Literal["class", "number", "none"]
_NAMED = 10
"""Classes up to which mistakes are counted by name."""


class Unfit(Exception):
    """A label that the model's answers cannot be compared with; the text says why."""


class Coder:
    """For one model. `kind` none: its answers are no single class or number, so there are no labels for them."""

    def __init__(self, card: schema.Card, model: schema.Schema) -> None:
        self._card, self._model = card, model
        self._whole = model.axis.kind == "none"
        self._labels = {_plain(label): place for place, label in enumerate(card.labels)}
        examples = [_example(spec, whole=self._whole) for spec in model.outputs]
        found = answers.read(card, model, examples)
        self.kind: Kind = "class" if found.labels else "number" if found.values.shape[1:] == (1,) else "none"
        self._texts = found.labels and not card.labels and found.values.dtype == np.object_
        place, given = answers.output(card, model)
        self._scores = place if found.labels and not given and not self._whole else None
        self._packed: dict[object, bytes] = {}

    @property
    def named(self) -> tuple[str, ...]:
        """The classes, where they are few and have names."""
        return tuple(map(str, self._card.labels)) if 0 < len(self._card.labels) <= _NAMED else ()

    def pack(self, outputs: Sequence[session.Array]) -> bytes:
        """The answers of all rows, one after the other."""
        if self._scores is not None:  # the usual case: the place of the highest score is the class's code
            return answers.best(outputs[self._scores]).astype("<i4").tobytes()
        if self.kind == "none":
            rows = 1 if self._whole else len(outputs[0])
            return bytes(4 * rows)
        arrays = [array[np.newaxis] for array in outputs] if self._whole else list(outputs)
        values = answers.read(self._card, self._model, arrays).values
        if self.kind == "number":
            return values.astype("<f4").tobytes()
        if values.dtype != np.object_ and not self._labels:
            return values.astype("<i4").tobytes()
        return b"".join([self._packed.get(value) or self._keep(value) for value in values.tolist()])

    def label(self, given: object) -> bytes | float:
        """A label from outside: as the code that a right answer has, or as a number. Raises `Unfit`."""
        if self.kind == "none":
            raise Unfit("this model's answers are neither a class nor a number: only events are counted")
        if self.kind == "number":
            return _finite(given)
        if isinstance(given, float) and given.is_integer():
            given = int(given)
        if isinstance(given, str) and (self._texts or given in self._labels):
            return self._code(given)
        if isinstance(given, int) and not self._texts and self._known(int(given)):
            return self._code(int(given))
        if self._labels:
            raise Unfit(f"a label of this model is one of {', '.join(map(str, self._card.labels[:_NAMED]))}")
        raise Unfit(f"a label of this model is a {'text' if self._texts else 'whole number'}")

    def number(self, code: bytes) -> float:
        """The number that was answered."""
        [value] = struct.unpack("<f", code)
        return float(value)

    def name(self, code: bytes) -> str:
        """The class, where it has one of the names of `named`."""
        place = int.from_bytes(code, "little")
        named = self.named
        return named[place] if place < len(named) else ""

    def _known(self, label: int) -> bool:
        return not self._labels or label in self._labels or 0 <= label < len(self._labels)

    def _keep(self, value: object) -> bytes:
        if len(self._packed) >= 1024:
            self._packed.clear()
        packed = self._packed[value] = self._code(_plain(value))
        return packed

    def _code(self, value: Any) -> bytes:
        place: Any = self._labels.get(value, value)
        if isinstance(place, str):
            place = zlib.crc32(place.encode())
        return (int(place) & 0xFFFFFFFF).to_bytes(4, "little")


def _finite(given: object) -> float:
    """JSON has whole numbers that no float can hold."""
    number = float("nan")
    if isinstance(given, int | float) and not isinstance(given, bool):
        with contextlib.suppress(OverflowError):
            number = float(given)
    if not math.isfinite(number):
        raise Unfit("a label of this model is a finite number")
    return number


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return int(value) if isinstance(value, bool) else value


def _example(spec: schema.TensorSpec, *, whole: bool) -> session.Array:
    shape = spec.shape if whole else (1, *spec.shape[1:])
    sizes = [1 if size == schema.FREE else size for size in shape]
    dtype = datatypes.BY_NAME[spec.datatype].dtype
    array = np.full(sizes, "", dtype) if spec.datatype == "BYTES" else np.zeros(sizes, dtype)
    return array[np.newaxis] if whole else array
