"""Made-up rows for a model of which nobody has given any: several sizes of free dimensions, several values. Pure.

Nobody said what the model can take, but for sizes that are declared, so whoever uses them takes the first that it
answers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from seatrial_server.model import datatypes, schema

_SIZES = (1, 2, 8, 32, 64, 224)
_MAX_ELEMENTS = 2**22
_Fill = Callable[[tuple[int, ...]], Any]
Array = np.ndarray[Any, Any]


def feeds(model: schema.Schema, *, rows: int = 1) -> Iterator[dict[str, Array]]:
    """Feeds of so many rows where the first dimension is free, small ones first."""
    random = np.random.default_rng(0)
    numbers: tuple[_Fill, ...] = (random.standard_normal, np.zeros, np.ones)
    sizes = _SIZES if any(schema.FREE in spec.shape[1:] for spec in model.inputs) else _SIZES[:1]
    for size, (fill, text) in itertools.product(sizes, zip(numbers, ("a", "", "1"), strict=True)):
        shapes = [model.fitting(spec, _shape(spec, size, rows=rows)) for spec in model.inputs]
        if max(map(math.prod, shapes), default=0) <= _MAX_ELEMENTS:
            yield {spec.name: _array(spec, shape, fill, text) for spec, shape in zip(model.inputs, shapes, strict=True)}


def _shape(spec: schema.TensorSpec, size: int, *, rows: int) -> tuple[int, ...]:
    return tuple(
        (rows if axis == 0 else size) if length == schema.FREE else length for axis, length in enumerate(spec.shape)
    )


def _array(spec: schema.TensorSpec, shape: tuple[int, ...], fill: _Fill, text: str) -> Array:
    if spec.datatype == "BYTES":
        return np.full(shape, text, np.object_)
    dtype = datatypes.BY_NAME[spec.datatype].dtype
    return np.asarray(fill(shape) if dtype.kind == "f" else np.abs(fill(shape))).astype(dtype)
