"""How often each feature is the most influential one among the reference rows: what a pod's counts are held against.

Found by the code that serves. A help, no test: where it can't be had, or the model fails on replaced values, nothing
is said.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.engine import admitting, validation
from seatrial_server.host import logs
from seatrial_server.model import features, session
from seatrial_server.observe import influence
from seatrial_server.trial import columns, subject

log = logging.getLogger(__name__)

NAME = "most influential feature"
MAX_ROWS = 1000
LEAST_ROWS = 30
SECONDS = 10.0
"""For all rows; a slow model has a reference of fewer."""


def of(on: subject.Subject) -> columns.Column | None:
    """The column; None where attributions can't be had."""
    made = on.made
    if made is None or not made.profile.typical:
        return None
    rows = package.reference(on.folder, on.model.schema)
    if rows is None:
        return None
    batch = session.ROWS_PER_RUN if made.batching else 1
    asked = influence.Influence(on.model, on.card, made.profile.typical, batch=batch)
    try:
        counts = _counts(asked, on, [rows[spec.name] for spec in on.model.schema.inputs])
    except Exception as error:  # whatever a model raises on values that it wasn't made for is no fault of it
        logs.warning(log, "no attributions: the model fails on replaced values", cause=str(error)[:300])
        return None
    total = int(counts.sum())
    if total < LEAST_ROWS:
        return None
    shares = tuple((counts / total).round(6).tolist())
    return columns.Column(name=NAME, kind="Attribution", bins=asked.labels, reference=shares, rows=total)


def _counts(asked: influence.Influence, on: subject.Subject, rows: list[session.Array]) -> session.Array:
    """Of rows spread evenly over all, as far as the time allows: in an order that begins everywhere."""
    model, made = on.model.schema, on.made
    guards = validation.guards(
        model, features.by_input(on.card.features, model), missing=frozenset(made.missing if made else ())
    )
    repair = admitting.repair(guards, whole=model.axis.kind == "none")
    counts, until = np.zeros(len(asked.labels), np.int64), time.monotonic() + SECONDS
    chosen = np.unique(np.linspace(0, len(rows[0]) - 1, MAX_ROWS).astype(np.int64))
    for place in np.random.default_rng(0).permutation(chosen).tolist():
        if time.monotonic() > until:
            break
        seen = repair([array[place : place + 1] for array in rows])
        found = asked.of(seen) if seen is not None else None
        if found is not None:
            counts[found] += 1
    return counts
