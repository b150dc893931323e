"""The row axis of a model, found by trying: do the answers have the rows' number, and is each what it is alone?

A free first dimension alone says nothing: it may be a sequence, a batch with statistics over all rows, or the
detections of one image. A fixed one may be a batch or a height. `prepare` tries once, on the package's rows where there
are some, else on made-up ones; the manifest keeps what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec
import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import alike, made, schema
from seatrial_server.model import rows as rows_

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]
Run = Callable[[Feeds], list[Array]]
ROWS = 32
"""As many rows are kept as an example: a full batch."""
_TRIED = 3
_OUTLIER = 1000
_MAX_EXAMPLE_BYTES = 16 * 1024**2


class Found(msgspec.Struct, frozen=True):
    """The schema with its axis and the shapes that outputs really have, and rows that the model answers, if any."""

    model: schema.Schema
    example: Feeds | None


class Model(Protocol):
    """What is tried, see `session.Session`."""

    schema: schema.Schema
    dimensions: dict[str, tuple[str, ...]]

    def run(self, feeds: Feeds) -> list[Array]: ...


def find(loaded: Model, given: rows_.Feeds | None) -> Found:
    """Try the model on the given rows, or on made-up ones; a model that answers nothing has no axis."""
    model, run = loaded.schema, loaded.run
    samples: Iterable[Feeds] = _made(model) if given is None else [dict(given)]
    for sample in samples:
        try:
            found = _tried(model, run, sample)
            tied = alike.find(found.model, loaded.dimensions, run, found.example)
            return Found(msgspec.structs.replace(found.model, alike=tied), found.example)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            if errors.of_memory(error):
                raise MemoryError(str(error)) from error
    return Found(msgspec.structs.replace(model, found=schema.Axis("none")), None)


def _made(model: schema.Schema) -> Iterator[Feeds]:
    """Some rows; one whole feed each where the first dimension is declared to have sizes, and hence no rows."""
    if not model.first_sized:
        yield from made.feeds(model, rows=_TRIED)
    for feeds in made.feeds(model) if model.first_sized else ():
        yield {name: array[np.newaxis] for name, array in feeds.items()}


def _tried(model: schema.Schema, run: Run, sample: Feeds) -> Found:
    """Raises whatever the model raises on a single row."""
    plain = msgspec.structs.replace(model, found=schema.Axis("none"))
    [first, *_] = rows_.parts(plain, {name: array[:_TRIED] for name, array in sample.items()}, 1)
    outputs = run(first.feeds)
    axis = _axis(model, run, sample, outputs) if not first.whole else schema.Axis("none")
    real = msgspec.structs.replace(model, outputs=_real(model, axis, outputs), found=axis)
    return Found(real, _example(model, sample))


def _axis(model: schema.Schema, run: Run, sample: Feeds, outputs: list[Array]) -> schema.Axis:
    sizes = {spec.shape[0] if spec.shape else None for spec in model.inputs}
    size = sizes.pop() if len(sizes) == 1 else None
    if size is None or not outputs:
        return schema.Axis("none")
    free = size == schema.FREE
    if any(array.shape[:1] != (1 if free else size,) for array in outputs):
        return schema.Axis("none")
    try:
        independent = (
            _together_as_alone(run, sample, outputs) if free else size == 1 or _apart(run, sample, outputs, size)
        )
    except Exception:  # what one row is answered, several aren't
        independent = False
    if not independent:
        return schema.Axis("none")
    return schema.Axis("free") if free else schema.Axis("fixed", size)


def _together_as_alone(run: Run, sample: Feeds, first: list[Array]) -> bool:
    """Whether two rows get the same answers together as alone, also next to an outlier. Few calls: one may be slow."""
    rows = _wrapped(sample, range(_TRIED))
    alone = list(zip(first, run(_wrapped(rows, [1])), strict=True))
    wild = {name: array.copy() for name, array in rows.items()}
    with np.errstate(over="ignore"):
        for array in wild.values():
            if array.dtype.kind == "f":
                array[-1] *= _OUTLIER
    try:
        together = run(wild)
    except Exception:  # nobody said that the model can take such a row
        together = run(rows)
    return all(
        array.shape[:1] == (_TRIED,)
        and all(one.shape[:1] == (1,) for one in answers)
        and _equal(np.concatenate(answers), array[: len(answers)])
        for array, answers in zip(together, alone, strict=True)
    )


def _apart(run: Run, sample: Feeds, outputs: list[Array], size: int) -> bool:
    """Whether the first of so many rows keeps its answer when all others change."""
    others = _wrapped(sample, [0, *(2 * row + 1 for row in range(1, size))])
    for array in others.values():
        if array.dtype.kind == "f":
            array[1:] = -array[1:] / 2
    return all(_equal(new[:1], old[:1]) for new, old in zip(run(others), outputs, strict=True))


def _wrapped(feeds: Feeds, chosen: Iterable[int]) -> Feeds:
    """Some rows, counted around."""
    return {name: array.take(list(chosen), axis=0, mode="wrap") for name, array in feeds.items()}


def _equal(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return np.allclose(left, right, rtol=1e-2 if left.dtype == np.float16 else 1e-3, atol=1e-4, equal_nan=True)
    return bool((left == right).all())


def _real(model: schema.Schema, axis: schema.Axis, outputs: list[Array]) -> tuple[schema.TensorSpec, ...]:
    """The outputs; what the graph says of their shapes gives way where the answers have others."""
    result = []
    for spec, array in zip(model.outputs, outputs, strict=True):
        shape = spec.shape if len(spec.shape) == array.ndim else (schema.FREE,) * array.ndim
        shape = tuple(
            schema.FREE if size != real or (place == 0 and axis.kind == "free") else size
            for place, (size, real) in enumerate(zip(shape, array.shape, strict=True))
        )
        result.append(schema.TensorSpec(name=spec.name, datatype=spec.datatype, shape=shape))
    return tuple(result)


def _example(model: schema.Schema, sample: Feeds) -> Feeds:
    """Some rows of the sample, at least one."""
    size = sum(array[:1].nbytes for array in sample.values())
    least = rows_.together(msgspec.structs.replace(model, found=schema.Axis("none")), 1)
    count = max(least, min(ROWS, _MAX_EXAMPLE_BYTES // max(1, size)))
    return {name: np.ascontiguousarray(array[:count]) for name, array in sample.items()}
