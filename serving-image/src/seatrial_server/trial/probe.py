"""Does the prepared model answer at all? A few calls on rows of the package, else on made-up ones. Runs in the sandbox.

A graph that loads may fail on every input, or never end; a first version would take all traffic with it. One answer is
enough to pass: what real rows get is for declared tests and the canary to judge. Made-up rows try several sizes of free
dimensions and several values, since nobody said what the model can take.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import datatypes, manifest, schema, session
from seatrial_server.model import rows as rows_

_GIVEN_ROWS = 8
_SIZES = (1, 2, 8, 32, 64, 224)
_MAX_ELEMENTS = 2**22
_Fill = Callable[[tuple[int, ...]], Any]


def run(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """Nothing when there was an answer.

    Raises:
        Rejected: every call failed.
    """
    model = session.load(Path(prepared_folder) / manifest.MODEL)
    given = _given(Path(package_folder), model.schema)
    failures = []
    for feeds in made(model.schema) if given is None else _one_by_one(model.schema, given):
        failure = _failure(model, feeds)
        if not failure:
            return {}
        failures.append(failure)
    raise errors.Rejected("InvalidModel", _words(failures, given is not None))


def made(model: schema.Schema) -> Iterator[dict[str, session.Array]]:
    """Feeds of one row, small ones first."""
    random = np.random.default_rng(0)
    numbers: tuple[_Fill, ...] = (random.standard_normal, np.zeros, np.ones)
    sizes = _SIZES if any(schema.FREE in spec.row_shape for spec in model.inputs) else _SIZES[:1]
    for size, (fill, text) in itertools.product(sizes, zip(numbers, ("a", "", "1"), strict=True)):
        shapes = [_shape(spec, size) for spec in model.inputs]
        if max(map(math.prod, shapes), default=0) <= _MAX_ELEMENTS:
            yield {spec.name: _array(spec, shape, fill, text) for spec, shape in zip(model.inputs, shapes, strict=True)}


def _given(folder: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    """The package's own rows, of whichever file has some."""
    rows = package.reference(folder, model)
    if rows is None:
        for test in package.tests(folder).functional:
            return package.as_feeds(test.rows, model, source=f"tests.yaml: {test.name}")
    return rows


def _one_by_one(model: schema.Schema, rows: dict[str, session.Array]) -> Iterator[dict[str, session.Array]]:
    first = {name: array[:_GIVEN_ROWS] for name, array in rows.items()}
    return (part.feeds for part in rows_.parts(model, first, 1))


def _shape(spec: schema.TensorSpec, size: int) -> tuple[int, ...]:
    return tuple(
        (1 if axis == 0 else size) if length == schema.FREE else length for axis, length in enumerate(spec.shape)
    )


def _array(spec: schema.TensorSpec, shape: tuple[int, ...], fill: _Fill, text: str) -> session.Array:
    if spec.datatype == "BYTES":
        return np.full(shape, text, np.object_)
    dtype = datatypes.BY_NAME[spec.datatype].dtype
    return np.asarray(fill(shape) if dtype.kind == "f" else np.abs(fill(shape))).astype(dtype)


def _failure(model: session.Session, feeds: dict[str, session.Array]) -> str:
    """Why there is no answer; empty when there is one."""
    try:
        outputs = model.run(feeds)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        if errors.of_memory(error):
            raise MemoryError(str(error)) from error
        return str(error)[:300]
    if all(np.isfinite(array).all() for array in outputs if array.dtype.kind == "f"):
        return ""
    return "it answers NaN or infinity"


def _words(failures: list[str], given: bool) -> str:
    last = failures[-1] if failures else "its inputs are too large to be made up"
    if given:
        return f"the model answers none of the package's first {len(failures)} rows: {last}"
    return (
        f"the model answers none of {len(failures)} made-up rows: {last}; "
        "if it needs particular values, give it a package with a reference.npz that holds some"
    )
