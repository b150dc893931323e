"""A request that the model answers, made up from its schema: for people who look for how to call it.

Nobody said what the model can take, so a few values and sizes are tried until one gets an answer; declared ranges,
categories and sizes are kept. Runs the model: not on the event loop.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seatrial_server.engine import validation
from seatrial_server.model import datatypes, schema, session

MAX_ELEMENTS = 2**18  # an image of 224 x 224 x 3 has 150,528; more is nothing to look at
_SIZES = (1, 2, 8, 32, 64, 224)
_NUMBERS = (0.0, 1.0, 0.5)
_TEXTS = ("text", "1", "")
_SECONDS = 2.0
Feeds = dict[str, session.Array]
Described = Mapping[str, Sequence[schema.Feature]]


def find(model: session.Session, guards: Sequence[validation.Guard | None], described: Described) -> Feeds | None:
    """One row, or None when nothing that was tried got an answer within some seconds."""
    give_up = time.monotonic() + _SECONDS
    for feeds in _made(model.schema, described):
        allowed = zip(guards, feeds.values(), strict=True)
        if all(guard is None or guard.examine(feed) is None for guard, feed in allowed) and _answers(model, feeds):
            return feeds
        if time.monotonic() > give_up:
            break
    return None


def _made(model: schema.Schema, described: Described) -> Iterator[Feeds]:
    for size, base in itertools.product(_SIZES, zip(_NUMBERS, _TEXTS, strict=True)):
        shapes = [model.fitting(spec, _shape(spec, size)) for spec in model.inputs]
        if sum(map(math.prod, shapes)) > MAX_ELEMENTS:
            return
        yield {
            spec.name: _filled(spec, shape, described.get(spec.name, ()), base)
            for spec, shape in zip(model.inputs, shapes, strict=True)
        }


def _shape(spec: schema.TensorSpec, size: int) -> tuple[int, ...]:
    return tuple((size if axis else 1) if length == schema.FREE else length for axis, length in enumerate(spec.shape))


def _filled(
    spec: schema.TensorSpec, shape: tuple[int, ...], columns: Sequence[schema.Feature], base: tuple[float, str]
) -> session.Array:
    dtype, text = datatypes.BY_NAME[spec.datatype].dtype, spec.datatype == "BYTES"
    if not columns:
        return np.full(shape, base[1] if text else base[0], dtype)
    row = np.array([_value(column, base, text=text, whole=dtype.kind in "iu") for column in columns], dtype)
    return np.resize(row, shape)


def _value(feature: schema.Feature, base: tuple[float, str], *, text: bool, whole: bool) -> Any:
    if feature.categories:
        return feature.categories[0]
    if text:
        return base[1]
    value = min(max(base[0], feature.lowest), feature.highest)
    return math.ceil(value) if whole else value


def _answers(model: session.Session, feeds: Feeds) -> bool:
    try:
        outputs = model.run(feeds)
    except Exception:  # ONNX Runtime raises a dozen unrelated types
        return False
    return all(np.isfinite(array).all() for array in outputs if array.dtype.kind == "f")
