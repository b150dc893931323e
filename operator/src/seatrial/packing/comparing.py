"""The graph's answers against the library's, row by row. Graphs mostly count in 32 bits where libraries count in 64.

A row differs when it gets another label, a score that is off by more than a thousandth, or a number that is off by more
than a thousandth of the answers' range.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from seatrial.packing import conversion, errors, layouts, originals

SCORE_TOLERANCE = 1e-3
NUMBER_TOLERANCE = 1e-3


class Difference(msgspec.Struct, frozen=True):
    """Of `rows`, `differing` in all, `labels` with another class; `worst`: the largest distance of a score or number.

    `rounding`: rows whose answer the library itself changes once the data is rounded to 32 bits.
    """

    rows: int
    differing: int
    labels: int
    worst: float
    rounding: int = 0

    @property
    def share(self) -> float:
        """Of all rows."""
        return self.differing / self.rows

    def told(self) -> str:
        """For people."""
        text = f"{self.differing} of {self.rows} rows differ"
        if not self.differing:
            return f"{text} (scores or numbers by at most {self.worst:.2g})"
        cause = f"; {self.rounding} of them do in the library itself once the data has 32 bits" if self.rounding else ""
        return f"{text}, {self.labels} in their label, by at most {self.worst:.3g}{cause}"


def answers(
    converted: conversion.Converted, feeds: layouts.Feeds, classes: tuple[originals.Label, ...]
) -> originals.Answers:
    """What the graph says to these rows.

    Raises:
        CannotConvert: it doesn't load, fails, or answers with a class that the model doesn't have.
    """
    given = _run(converted, feeds)
    if converted.number:
        return originals.Answers(numbers=_table(given[converted.number]))
    scores = _table(given[converted.scores]) if isinstance(given.get(converted.scores), np.ndarray) else None
    return originals.Answers(labels=_places(_labels(converted, given), classes), scores=scores)


def outputs(converted: conversion.Converted, feeds: layouts.Feeds) -> dict[str, originals.Array]:
    """The outputs that hold labels, scores or a number, as the graph gives them."""
    given = _run(converted, feeds)
    named = filter(None, (converted.label, converted.scores, converted.number))
    return {name: given[name] for name in named if isinstance(given[name], np.ndarray)}


def labels(converted: conversion.Converted, feeds: layouts.Feeds) -> set[originals.Label]:
    """The different labels that the graph gives these rows."""
    return {originals.label(one) for one in np.unique(_labels(converted, _run(converted, feeds)))}


def _run(converted: conversion.Converted, feeds: layouts.Feeds) -> dict[str, Any]:
    onnxruntime = errors.needed("onnxruntime", why="the comparison", install="'seatrial[pack]'")
    onnxruntime.set_default_logger_severity(3)
    try:
        session = onnxruntime.InferenceSession(converted.content, providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(None, feeds), strict=True))
    except Exception as error:  # its exceptions share no root
        raise errors.CannotConvert(f"the converted model does not run: {str(error).partition(chr(10))[0]}") from error


def _labels(converted: conversion.Converted, given: dict[str, Any]) -> originals.Array:
    """The label output, else the places of the highest scores."""
    if converted.label:
        return np.asarray(given[converted.label]).reshape(-1)
    return np.asarray(_table(given[converted.scores]).argmax(axis=1))


def compare(wanted: originals.Answers, got: originals.Answers) -> Difference:
    """How far the graph is from its original."""
    if wanted.numbers is not None and got.numbers is not None:
        off = np.abs(wanted.numbers - got.numbers).max(axis=1)
        differs = ~(off <= NUMBER_TOLERANCE * (float(np.ptp(wanted.numbers)) or 1.0))  # NaN differs
        return Difference(len(off), int(differs.sum()), 0, _worst(off))
    assert wanted.labels is not None  # noqa: S101  # whoever gives no numbers gives labels
    other = wanted.labels != got.labels
    off = np.zeros(len(other))
    if wanted.scores is not None and got.scores is not None and wanted.scores.shape == got.scores.shape:
        off = np.abs(wanted.scores - got.scores).max(axis=1)
    differs = other | ~(off <= SCORE_TOLERANCE)
    return Difference(len(other), int(differs.sum()), int(other.sum()), _worst(off))


def _worst(off: originals.Array) -> float:
    return float(off.max()) if len(off) else 0.0


def _places(labels: originals.Array, classes: tuple[originals.Label, ...]) -> originals.Array:
    known = {one: place for place, one in enumerate(classes)}
    try:
        return np.array([known[originals.label(one)] for one in labels.reshape(-1)])
    except KeyError as error:
        raise errors.CannotConvert(f"the converted model answers {error}, which is no class of the model") from error


def _table(scores: Any) -> originals.Array:
    return np.asarray(scores, np.float64).reshape(len(scores), -1)
