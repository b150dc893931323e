"""The rows that are sent: real ones, with a little noise, so that no two bodies are equal and no cache can answer."""

from __future__ import annotations

import pathlib
import random

import msgspec

from .scanner import Scanner


class Rows(msgspec.Struct, frozen=True):
    """Rows of one input tensor with their true labels; values stay within low..high, `noise` is added where there are
    some.
    """

    input: str
    low: float
    high: float
    classes: int
    rows: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]
    noise: float = 0.0


class Marks:
    """The first value of every row, which says nothing in the data: a place on the range, by chance.

    A version that errs on a share of the requests fails from a place of its own upward. In an outage the marks come
    from the top of the range only, and every version fails so many times as often.
    """

    def __init__(self) -> None:
        self._from = 0.0

    def outage(self, times: float) -> None:
        self._from = 1 - 1 / times

    def draw(self, rows: Rows, chance: random.Random) -> float:
        """Above the low end: there a mark would be none."""
        return rows.high - (rows.high - rows.low) * (1 - self._from) * chance.random()


class Request(msgspec.Struct, frozen=True):
    """One request ready to send, and the label that a perfect model would answer."""

    id: str
    body: bytes
    label: int


def read(path: pathlib.Path) -> Rows:
    return decode(path.read_bytes())


def decode(content: bytes) -> Rows:
    return msgspec.json.decode(content, type=Rows)


def draw(
    rows: Rows, *, id: str, chance: random.Random, marks: Marks | None = None, through: Scanner | None = None
) -> Request:
    """A random row with noise on its non-zero values, and marked if there are marks."""
    through = through or Scanner()
    at = chance.randrange(len(rows.rows))
    values = [_noisy(value, rows=rows, chance=chance) if value else value for value in through.lit([*rows.rows[at]])]
    if marks is not None:
        values[0] = marks.draw(rows, chance)
    data = through.read(values, chance=chance)
    tensor = {"name": rows.input, "datatype": "FP32", "shape": [1, len(data)], "data": data}
    return Request(id=id, body=msgspec.json.encode({"id": id, "inputs": [tensor]}), label=rows.labels[at])


def _noisy(value: float, *, rows: Rows, chance: random.Random) -> float:
    return round(min(max(value + chance.uniform(-rows.noise, rows.noise), rows.low), rows.high), 4)
