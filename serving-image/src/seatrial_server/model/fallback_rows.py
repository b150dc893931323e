"""The `fallback` part of `model.yaml`: one row for each output, checked against the graph in the trial."""

from __future__ import annotations

import math

import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session


def read(card: schema.Card, model: schema.Schema) -> list[session.Array]:
    """One row per output, in order; refuses what does not fit the graph."""
    wanted = [spec.name for spec in model.outputs]
    if sorted(card.fallback) != sorted(wanted):
        raise _invalid(f"must give one row for each of the outputs {wanted}, has {sorted(card.fallback)}")
    return [_row(card.fallback[spec.name], spec, model) for spec in model.outputs]


def _row(value: object, spec: schema.TensorSpec, model: schema.Schema) -> session.Array:
    shape = model.row_shape(spec)
    if schema.FREE in shape:
        raise _invalid(f"output {spec.name!r} has shape {list(spec.shape)}: only rows of a fixed shape can have one")
    datatype = datatypes.BY_NAME[spec.datatype]
    try:
        row = np.array(value, datatype.dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid(f"output {spec.name!r} is {spec.datatype}: {error}") from error
    if row.size != math.prod(shape) or (datatype.floating and not np.isfinite(row).all()):
        raise _invalid(f"output {spec.name!r} has rows of shape {list(shape)} and finite values")
    return row.reshape(1, *shape)


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"model.yaml: fallback: {message}")
