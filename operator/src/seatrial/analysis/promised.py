"""What a trial has shown on the package's holdout rows: how often answers were wrong, also by confidence. Untrusted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

HOLDOUT, METRIC = "holdout", "accuracy"
BINS = 10
_Rows = Annotated[int, Meta(ge=0, le=10**12)]


class Confidence(msgspec.Struct, frozen=True):
    """Of the holdout rows with a highest score within each tenth: how many there are, and how many were right."""

    output: str
    rows: Annotated[tuple[_Rows, ...], Meta(min_length=BINS, max_length=BINS)]
    right: Annotated[tuple[_Rows, ...], Meta(min_length=BINS, max_length=BINS)]


class _Evaluation(msgspec.Struct, frozen=True):
    name: str
    metric: str
    value: float
    rows: _Rows
    slice: str = ""


class Promise(msgspec.Struct, frozen=True):
    """`holdout`: its rows, and those that were wrong. None: there were none, or they were not measured."""

    holdout: tuple[int, int] | None = None
    confidence: Confidence | None = None


def read(evaluation: bytes, confidence: bytes) -> Promise:
    """From a trial's report; what can't be used counts as not there."""
    return Promise(holdout=_holdout(evaluation), confidence=_confidence(confidence))


def _holdout(evaluation: bytes) -> tuple[int, int] | None:
    try:
        told = msgspec.json.decode(evaluation, type=list[_Evaluation])
    except (ValueError, RecursionError):
        return None
    for one in told:
        if (one.name, one.metric, one.slice) == (HOLDOUT, METRIC, "") and 0 <= one.value <= 1 and one.rows:
            return one.rows, round((1 - one.value) * one.rows)
    return None


def _confidence(told: bytes) -> Confidence | None:
    try:
        found = msgspec.json.decode(told, type=Confidence | None)
    except (ValueError, RecursionError):
        return None
    if found is None or any(right > rows for right, rows in zip(found.right, found.rows, strict=True)):
        return None
    return found if sum(found.rows) else None
