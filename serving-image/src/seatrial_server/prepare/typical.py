"""What stands in for a feature when one asks how much it moved an answer: the reference's median, or its mode.

Only for tables: an input of pixels, tokens or free text has no value that is typical of a column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seatrial_server.model import bins, schema, session
from seatrial_server.prepare import profile

MAX_COLUMNS = 512
LEAST = 2
"""With a single column there is nothing to compare."""
_TABLE = 1
"""Dimensions of a row, at most."""


def values(card: schema.Card, model: schema.Schema, rows: Sequence[session.Array]) -> tuple[bins.Typical, ...]:
    """Of every column that has one; none at all where the model takes no table, or too wide a one."""
    tables = {place for place, spec in enumerate(model.inputs) if len(model.row_shape(spec)) <= _TABLE}
    if not LEAST <= sum(rows[place][:1].size for place in tables) <= MAX_COLUMNS:
        return ()
    found = [
        bins.Typical(name=one.place.name, tensor=one.place.tensor, column=one.place.column, value=value)
        for one in profile.columns(card, model, rows, of=tables)
        if (value := _value(one)) is not None
    ]
    return tuple(found) if len(found) >= LEAST else ()


def _value(column: profile.Column) -> schema.Value | None:
    """A value of the reference's own, which the model may see; None for a column without any, and for free text."""
    present = profile.present_of(column.values)
    if not len(present):
        return None
    distinct, counts = np.unique(present, return_counts=True)
    if profile.numeric(present, distinct, known=column.known):
        middle = (len(present) - 1) // 2
        median: schema.Value = np.partition(present, middle)[middle].item()
        return median
    if present.dtype.kind == "U" and len(distinct) > 1 and counts.max() == 1:
        return None
    mode: schema.Value = distinct[counts.argmax()].item()
    return mode
