"""May the model see these values? Per-column checks and policies of one input, vectorised over a batch.

A quantized model hides NaN, so this comes before every run. Good values cost two comparisons per batch; only a batch
with a bad value takes the long way: clip, impute or refuse, attributed to the rows it came from. A single row of few
values is compared in plain Python, see `conversion`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence, Set
from typing import Any, Protocol

import numpy as np

from seatrial_server.engine.conversion import FEW
from seatrial_server.engine.verdict import NULL, Verdict
from seatrial_server.model import datatypes, schema, session

_MANY = 1024
"""Values up to which bounds lie ready for several rows: half the price of holding each row against one."""


class Guard(Protocol):
    """Checks one input."""

    def examine(self, feed: session.Array) -> Verdict | None:
        """None when everything is as it should be."""


def finite(array: session.Array) -> bool:
    """Whether every value of a floating array is finite."""
    if array.size <= FEW:
        values = array.reshape(-1).tolist()
        return math.isfinite(sum(values)) or all(map(math.isfinite, values))  # the sum may be too large, they not
    return bool(np.count_nonzero(np.isfinite(array)) == array.size)  # a third of the time of `all`


class FiniteGuard:
    """A floating input without bounds: every value must be finite. Half the price of comparing with bounds.

    `missing`: NaN stands for a missing value and is let through. `whole`: the tensor has no dimension of rows.
    """

    def __init__(
        self, name: str, columns: Sequence[schema.Feature] = (), *, missing: bool = False, whole: bool = False
    ) -> None:
        self._name, self._columns, self._missing, self._from = name, columns, missing, 0 if whole else 1

    def examine(self, feed: session.Array) -> Verdict | None:
        """See `Guard`."""
        if finite(feed):
            return None
        good = np.isfinite(feed)
        if self._missing:
            good |= np.isnan(feed)
            if good.all():
                return None
        columns = self._columns or [
            schema.Feature(str(column)) for column in range(math.prod(feed.shape[self._from :]))
        ]
        return _refused(self._name, columns, feed, good)


class TableGuard:
    """An undescribed input whose values are places in a table of so many entries; negative ones count from its end."""

    def __init__(self, spec: schema.TensorSpec, entries: int, *, whole: bool) -> None:
        limits = np.iinfo(datatypes.BY_NAME[spec.datatype].dtype)
        self._name, self._from = spec.name, 0 if whole else 1
        self._low, self._high = max(limits.min, -entries), min(limits.max, entries - 1)

    def examine(self, feed: session.Array) -> Verdict | None:
        """See `Guard`."""
        good = (feed >= self._low) & (feed <= self._high)
        if np.count_nonzero(good) == good.size:
            return None
        bounds = (float(self._low), float(self._high))
        columns = [schema.Feature(str(column), range=bounds) for column in range(math.prod(feed.shape[self._from :]))]
        return _refused(self._name, columns, feed, good)


def _refused(name: str, columns: Sequence[schema.Feature], feed: session.Array, good: session.Array) -> Verdict:
    """All that is not good is refused, nothing repaired."""
    shape = (-1, len(columns))
    none = np.zeros((1, len(columns)), np.bool_)
    refused, given = ~good.reshape(shape), feed.reshape(shape)
    return Verdict(name=name, columns=columns, given=given, feed=feed, refused=refused, clipped=none, imputed=none)


class _Policies:
    """The policies of the columns as masks."""

    def __init__(self, spec: schema.TensorSpec, columns: Sequence[schema.Feature]) -> None:
        dtype = datatypes.BY_NAME[spec.datatype].dtype
        self.name, self.columns = spec.name, columns
        self.clip = np.array([column.policy == "clip" for column in columns])
        self.impute = np.array([column.policy == "impute" for column in columns])
        self.allow_missing = np.array([column.missing == "allow" for column in columns])
        self.impute_missing = np.array([column.missing == "impute" for column in columns])
        empty: Any = "" if spec.datatype == "BYTES" else 0
        self.defaults = np.array([empty if column.default is None else column.default for column in columns], dtype)

    def settle(
        self, feed: session.Array, good: session.Array, absent: session.Array, clippable: session.Array | None = None
    ) -> Verdict:
        """`good` and `absent` are masks of (rows, columns); `clippable` holds the nearest allowed values."""
        rows = feed.reshape(good.shape)
        outside = ~good & ~absent
        clipped = np.zeros_like(good) if clippable is None else outside & self.clip & np.isfinite(rows)
        imputed = (outside & self.impute) | (~good & absent & self.impute_missing)
        fixed = rows if clippable is None else np.where(clipped, clippable, rows)
        return Verdict(
            name=self.name,
            columns=self.columns,
            given=rows,
            feed=np.where(imputed, self.defaults, fixed).reshape(feed.shape),
            refused=~(good | clipped | imputed),
            clipped=clipped,
            imputed=imputed,
        )


class NumberGuard:
    """A described input of numbers. Bounds are of the input's own type, so 0.1 allows the nearest FP32 to it."""

    def __init__(self, spec: schema.TensorSpec, columns: Sequence[schema.Feature]) -> None:
        dtype, self._floating = datatypes.BY_NAME[spec.datatype].dtype, datatypes.BY_NAME[spec.datatype].floating
        self._policies, self._count = _Policies(spec, columns), len(columns)
        limits: Any = np.finfo(dtype) if self._floating else np.iinfo(dtype)
        low = [_bound(column.lowest, limits, floating=self._floating) for column in columns]
        high = [_bound(column.highest, limits, floating=self._floating, up=False) for column in columns]
        self._low, self._high = np.array(low, dtype), np.array(high, dtype)
        self._lows, self._highs = (np.tile(bound, (_MANY // self._count, 1)) for bound in (self._low, self._high))
        self._categories = [
            (index, np.array(column.categories, dtype)) for index, column in enumerate(columns) if column.categories
        ]
        few = self._count <= FEW and not self._categories
        self._bounds = (self._low.tolist(), self._high.tolist()) if few else None

    def examine(self, feed: session.Array) -> Verdict | None:
        """See `Guard`."""
        if self._bounds is not None and feed.size == self._count:
            (low, high), values = self._bounds, feed.reshape(-1).tolist()
            if all(map(operator.le, low, values)) and all(map(operator.le, values, high)):
                return None
        rows = feed.reshape(-1, self._count)
        low, high = self._lows[: len(rows)], self._highs[: len(rows)]
        if len(low) < len(rows):
            low, high = self._low, self._high
        good = (rows >= low) & (rows <= high)
        for column, allowed in self._categories:
            good[:, column] &= (rows[:, column, None] == allowed).any(axis=1)
        if np.count_nonzero(good) == good.size:
            return None
        absent = np.isnan(rows) if self._floating else np.zeros_like(good)
        good |= absent & self._policies.allow_missing
        if good.all():
            return None
        return self._policies.settle(feed, good, absent, np.clip(rows, self._low, self._high))


class TextGuard:
    """A described input of strings."""

    def __init__(self, spec: schema.TensorSpec, columns: Sequence[schema.Feature]) -> None:
        self._policies, self._count = _Policies(spec, columns), len(columns)
        self._allowed = [frozenset(column.categories) for column in columns]

    def examine(self, feed: session.Array) -> Verdict | None:
        """See `Guard`."""
        rows = feed.reshape(-1, self._count)
        absent = (rows == "") | np.equal(rows, NULL)
        good = ~absent
        for column, allowed in enumerate(self._allowed):
            if allowed:
                good[:, column] &= [value in allowed for value in rows[:, column]]
            elif not self._policies.impute_missing[column]:
                good[:, column] = ~np.equal(rows[:, column], NULL)  # nobody said that an empty string is no value
        return None if good.all() else self._policies.settle(feed, good, absent)


def guards(
    model: schema.Schema, described: dict[str, tuple[schema.Feature, ...]], *, missing: Set[str] = frozenset()
) -> list[Guard | None]:
    """One per input, in order; None where any value will do. Undescribed inputs in `missing` may hold NaN."""
    return [
        _guard(
            spec,
            described.get(spec.name, ()),
            missing=spec.name in missing - described.keys(),
            whole=model.axis.kind == "none",
            entries=model.tables.get(spec.name),
        )
        for spec in model.inputs
    ]


def _guard(
    spec: schema.TensorSpec, columns: Sequence[schema.Feature], *, missing: bool, whole: bool, entries: int | None
) -> Guard | None:
    floating = datatypes.BY_NAME[spec.datatype].floating
    if spec.datatype == "BYTES":
        picky = any(column.categories or column.missing == "impute" for column in columns)
        return TextGuard(spec, columns) if picky else None
    if any(column.range or column.categories or "impute" in (column.policy, column.missing) for column in columns):
        return NumberGuard(spec, columns)
    allowed = [column.missing == "allow" for column in columns]
    if any(allowed) and not all(allowed):
        return NumberGuard(spec, columns)
    if entries is not None:
        return TableGuard(spec, entries, whole=whole)
    return FiniteGuard(spec.name, columns, missing=missing or any(allowed), whole=whole) if floating else None


def _bound(value: float, limits: Any, *, floating: bool, up: bool = True) -> float | int:
    """The bound in the input's type; infinity becomes the largest finite number, which refuses infinite values."""
    if not math.isfinite(value) or not limits.min <= value <= limits.max:
        return limits.min if value < 0 else limits.max  # type: ignore[no-any-return]
    return value if floating else (math.ceil(value) if up else math.floor(value))
