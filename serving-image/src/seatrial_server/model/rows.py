"""Rows in parts that a model can run: as many together as the graph takes, filled up to a fixed number. Pure.

Rows are counted along the first dimension of the given arrays. It is the graph's first dimension, or one more where
every row is a whole feed: graphs without a batch dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from seatrial_server.model import schema

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]


class Part(msgspec.Struct, frozen=True):
    """What runs at once: `count` of the given rows from `start`, in feeds of `size`. `whole`: the feed is one row."""

    start: int
    count: int
    size: int
    feeds: dict[str, Array]
    whole: bool = False

    def own(self, output: Array) -> Array:
        """The answers of the part's own rows, one each along the first dimension.

        Raises:
            ValueError: the output has none for each row.
        """
        if not self.whole and output.ndim and len(output) == self.size:
            return output[: self.count]
        if self.count == 1:
            return output[np.newaxis]
        raise ValueError(f"an output of shape {list(output.shape)} has no answer for each of {self.size} rows")


def whole(model: schema.Schema, feeds: Feeds) -> bool:
    """Whether each row is a feed of its own, with a dimension more than the graph's."""
    return all(feeds[spec.name].ndim == len(spec.shape) + 1 for spec in model.inputs)


def together(model: schema.Schema, size: int) -> int:
    """How many rows run at once when `size` are wanted."""
    axis = model.axis
    if axis.kind != "none":
        return size if axis.kind == "free" else axis.size
    fixed = {spec.shape[0] if spec.shape else schema.FREE for spec in model.inputs}
    return max(1, fixed.pop()) if len(fixed) == 1 else 1


def parts(model: schema.Schema, feeds: Feeds, size: int) -> Iterator[Part]:
    """All rows, in order; the last row is repeated where a fixed number isn't reached."""
    total = len(next(iter(feeds.values())))
    if whole(model, feeds):
        for row in range(total):
            own = {name: array[row : row + 1].reshape(array.shape[1:]) for name, array in feeds.items()}
            yield Part(start=row, count=1, size=1, feeds=own, whole=True)
        return
    step = together(model, size)
    for start in range(0, total, step):
        count = min(step, total - start)
        filled = {name: array[start : start + step] for name, array in feeds.items()}
        if count < step and not model.rows_first:
            filled = {name: array.take(range(step), axis=0, mode="clip") for name, array in filled.items()}
        yield Part(start=start, count=count, size=len(next(iter(filled.values()))), feeds=filled)


def one(model: schema.Schema, feeds: Feeds, size: int) -> dict[str, Array]:
    """A feed of `size` rows, where the graph takes so many; rows are used again when there are fewer."""
    if whole(model, feeds):
        return next(parts(model, feeds, 1)).feeds
    chosen = range(together(model, size))
    return {name: array.take(chosen, axis=0, mode="wrap") for name, array in feeds.items()}


def repeated(model: schema.Schema, row: Array, count: int) -> Array:
    """One row's answer as the answer to a request: as often as it has rows."""
    axis = model.axis
    if axis.kind == "none":
        return np.asarray(row[0])
    return row.repeat(axis.size if axis.kind == "fixed" else count, axis=0)
