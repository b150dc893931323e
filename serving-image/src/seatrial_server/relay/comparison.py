"""Two revisions' answers to the same rows: the same answer or another one, by the task's own measure. Pure.

The measure is the one of the quantization gate: equal classes, numbers within a share of the answers' range, embeddings
within a share of their length. One request seldom shows a range, so it is that of all answers so far.
"""

from __future__ import annotations

import msgspec
import numpy as np

from seatrial_server.model import answers, schema, session


class Compared(msgspec.Struct, frozen=True):
    """`differences` are those of numbers, as shares of the range; none for classes."""

    same: int
    different: int
    differences: tuple[float, ...] = ()


class Comparison:
    """For one model, the stable one's, whose answers are the reference."""

    def __init__(self, card: schema.Card, model: schema.Schema) -> None:
        self._card, self._model = card, model
        self._lowest, self._highest = np.inf, -np.inf

    def compare(self, reference: list[session.Array], other: list[session.Array]) -> Compared | None:
        """Row by row; None when the answers have nothing in common to compare."""
        try:
            return self._compare(reference, other)
        except (ValueError, TypeError, IndexError, KeyError):  # shapes or types that do not fit each other
            return None

    def _compare(self, reference: list[session.Array], other: list[session.Array]) -> Compared | None:
        vectors = answers.embeddings(self._card, self._model, reference)
        if vectors is not None:
            return _counted(answers.moved(vectors, other[0].reshape(vectors.shape).astype(np.float64)))
        left = answers.read(self._card, self._model, reference)
        right = answers.read(self._card, self._model, other)
        if left.values.shape != right.values.shape:
            return None
        if left.labels:
            return _counted(answers.differing(left, right))
        moved = np.abs(left.values.astype(np.float64) - right.values.astype(np.float64)).max(axis=1)
        shares = moved / self._range(left.values)
        within = shares <= answers.REGRESSION_TOLERANCE  # NaN is not
        counted = _counted(~within)
        return Compared(counted.same, counted.different, tuple(shares[np.isfinite(shares)].tolist()))

    def _range(self, values: session.Array) -> float:
        self._lowest = min(self._lowest, float(values.min()))
        self._highest = max(self._highest, float(values.max()))
        return (self._highest - self._lowest) or abs(self._highest) or 1.0


def _counted(different: session.Array) -> Compared:
    count = int(np.count_nonzero(different))
    return Compared(len(different) - count, count)
