"""What is wrong with the values of an input, and what became of them: for each request of a batch its own part.

A `Verdict` is made by the guards of `validation`; it knows rows and columns, and no rule by which they were judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import schema, session

_NAMED = 5
NULL = np.array(None, np.object_)


class Verdict:
    """What is wrong with an input: masks of (rows, columns), and `feed` with the repaired values."""

    def __init__(
        self,
        *,
        name: str,
        columns: Sequence[schema.Feature],
        given: session.Array,
        feed: session.Array,
        refused: session.Array,
        clipped: session.Array,
        imputed: session.Array,
    ) -> None:
        self.feed = feed
        self._name, self._columns, self._given = name, columns, given
        self._refused, self._changed = refused, {"clipped": clipped, "imputed": imputed}

    def rows(self, shape: tuple[int, ...]) -> int:
        """How many rows of the masks belong to a tensor of this shape."""
        return math.prod(shape) // max(1, len(self._columns))

    def refusal(self, start: int, end: int) -> errors.RequestError | None:
        """The first value within these rows that the model must not see."""
        places = np.argwhere(self._refused[start:end])
        if not len(places):
            return None
        row, column = (int(place) for place in places[0])
        return self._error(row, self._columns[column], self._given[start + row, column])

    def refused_rows(self) -> session.Array:
        """Per row of the masks whether the model must not see it."""
        return np.asarray(self._refused.any(axis=1))

    def refused(self, start: int, end: int) -> Iterator[tuple[int, str, int]]:
        """Of these rows, by column and code, how many the model must not see; no value at all is always `Missing`."""
        mask = self._refused[start:end]
        for column in np.flatnonzero(mask.any(axis=0)).tolist():
            values = self._given[start:end, column][mask[:, column]]
            missing, infinite = _unusable(values)
            other = "UnknownCategory" if self._columns[column].categories else "OutOfRange"
            rest = len(values) - missing - infinite
            for code, rows in (("Missing", missing), ("NotFinite", infinite), (other, rest)):
                if rows:
                    yield column, code, rows

    def changes(self, start: int, end: int) -> str:
        """Which features were changed within these rows; empty when none."""
        parts = []
        for verb, mask in self._changed.items():
            names = [self._columns[column].name for column in np.flatnonzero(mask[start:end].any(axis=0)).tolist()]
            if names:
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                parts.append(f"{verb}: {', '.join(names[:_NAMED])}{more}")
        return "; ".join(parts)

    def _error(self, row: int, feature: schema.Feature, value: Any) -> errors.RequestError:
        absent = value is None or value == "" or value != value  # NaN is what differs from itself
        if absent and (feature.range or feature.categories):
            code, reason = "Missing", f"is missing, must be {feature.bound}"
        elif isinstance(value, float | np.floating) and not np.isfinite(value):
            code, reason = "NotFinite", "must be a finite number"
        elif absent:
            code, reason = "Missing", "is missing"
        else:
            code, reason = ("UnknownCategory" if feature.categories else "OutOfRange"), f"must be {feature.bound}"
        return errors.RequestError(
            400,
            f"input {self._name!r}, row {row}, feature {feature.name!r}: {reason}",
            code=code,
            details={
                "input": self._name,
                "row": row,
                "feature": feature.name,
                "reason": reason,
                "bound": feature.bound,
            },
        )


def _unusable(values: session.Array) -> tuple[int, int]:
    """How many values are missing, and how many infinite."""
    if values.dtype == np.object_:
        return int(np.count_nonzero((values == "") | np.equal(values, NULL))), 0
    if values.dtype.kind != "f":
        return 0, 0
    return int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(np.isinf(values)))
