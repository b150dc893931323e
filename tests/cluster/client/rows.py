"""The rows that are sent: real ones, with a little noise, so that no two bodies are equal and no cache can answer."""

from __future__ import annotations

import pathlib
import random

import msgspec

NOISE = 0.25


class Rows(msgspec.Struct, frozen=True):
    """Rows of one input tensor with their true labels; values stay within low..high."""

    input: str
    low: float
    high: float
    classes: int
    rows: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]


class Request(msgspec.Struct, frozen=True):
    """One request ready to send, and the label that a perfect model would answer."""

    id: str
    body: bytes
    label: int


def read(path: pathlib.Path) -> Rows:
    return decode(path.read_bytes())


def decode(content: bytes) -> Rows:
    return msgspec.json.decode(content, type=Rows)


def draw(rows: Rows, *, id: str, chance: random.Random) -> Request:
    """A random row with noise on its non-zero values."""
    at = chance.randrange(len(rows.rows))
    values = [_noisy(value, rows=rows, chance=chance) if value else value for value in rows.rows[at]]
    tensor = {"name": rows.input, "datatype": "FP32", "shape": [1, len(values)], "data": values}
    return Request(id=id, body=msgspec.json.encode({"id": id, "inputs": [tensor]}), label=rows.labels[at])


def _noisy(value: float, *, rows: Rows, chance: random.Random) -> float:
    return round(min(max(value + chance.uniform(-NOISE, NOISE), rows.low), rows.high), 4)
