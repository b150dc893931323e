"""Columns of the data as tensors of the graph: one input for all columns, or one for each.

One tensor is what clients find easiest and the server answers fastest; text, and pipelines that choose columns by name,
need an input for each column. A layout also says in which datatype numbers travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from seatrial.packing import tables

Feeds = dict[str, np.ndarray[Any, Any]]
TOGETHER = "features"
"""The name of the one input."""
Numbers = Literal["FP32", "FP64", "INT64"]
DTYPES: Mapping[str, Any] = {
    "FP32": np.float32,
    "FP64": np.float64,
    "INT64": np.int64,
    "INT32": np.int32,
    "BOOL": np.bool_,
}


class Input(msgspec.Struct, frozen=True):
    """One input with its columns in order; `datatype` is V2's. `flat`: the graph wants one dimension, not a table."""

    name: str
    datatype: str
    columns: tuple[str, ...]
    flat: bool = False


class Layout(msgspec.Struct, frozen=True):
    """All inputs, in the graph's order."""

    inputs: tuple[Input, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The features in the order of the inputs."""
        return tuple(name for one in self.inputs for name in one.columns)

    def feeds(self, frame: tables.Frame, columns: Mapping[str, tables.Column]) -> Feeds:
        """Rows as the server gets them: a missing number is NaN, a missing text is what `model.yaml` puts in."""
        return {one.name: _tensor(one, frame, columns) for one in self.inputs}


def together(names: Sequence[str], *, numbers: Numbers = "FP32", name: str = TOGETHER) -> Layout:
    """One tensor for all columns."""
    return Layout((Input(name, numbers, tuple(names)),))


def each(names: Sequence[str], columns: Mapping[str, tables.Column], *, numbers: Numbers = "FP32") -> Layout:
    """A tensor for each column. INT64 is for whole numbers without gaps; the others stay FP32."""
    return Layout(tuple(Input(name, _datatype(columns[name], numbers), (name,)) for name in names))


def _datatype(column: tables.Column, numbers: Numbers) -> str:
    if column.kind == "text":
        return "BYTES"
    return "FP32" if numbers == "INT64" and (column.missing or not column.whole) else numbers


def _tensor(one: Input, frame: tables.Frame, columns: Mapping[str, tables.Column]) -> np.ndarray[Any, Any]:
    if one.datatype == "BYTES":
        texts = [frame[name].fillna(columns[name].commonest).to_numpy(np.object_) for name in one.columns]
        array = np.stack(texts, axis=1)
    else:
        array = numbers(frame, one.columns).astype(DTYPES[one.datatype])
    return array[:, 0] if one.flat else array


def numbers(frame: tables.Frame, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Columns of numbers as doubles; missing ones are NaN."""
    return np.stack([frame[name].to_numpy(np.float64, na_value=np.nan) for name in names], axis=1)
