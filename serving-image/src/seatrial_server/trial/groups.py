"""A metric in each group of a dataset's rows, by a name that is no row's own. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seatrial_server.model import declared, schema, session
from seatrial_server.trial import metrics, naming, subject

_MOST_GROUPS = 50
_NAMELESS = 10
"""A value that fewer rows have could be somebody's own."""
Test = declared.PerformanceTest | declared.FairnessTest
Measured = list[tuple[str, metrics.Measured]]


def measured(test: Test, on: subject.Subject) -> Measured:
    """The groups with as many rows as the test wants."""
    outcomes, places = on.outcomes(test.dataset)
    found: Measured = []
    for name, mask in _masks(test, on):
        chosen = np.flatnonzero(mask[places])
        try:
            one = metrics.measure(test.metric, outcomes.of(chosen), label=test.label) if len(chosen) else None
        except metrics.Unmeasurable:  # no row of the label in this group
            continue
        if one is not None and one.rows >= test.min_rows:
            found.append((name, one))
    return found


def _masks(test: Test, on: subject.Subject) -> Iterator[tuple[str, session.Array]]:
    """The dataset's rows by the value of a feature, or of an array of one value per row: (name, mask)."""
    found = on.dataset(test.dataset)
    values = found.column(test.by, on.model.schema)
    declared_values: tuple[schema.Value, ...] = ()
    if values is None:
        spec, column = on.columns.find(test.by, source=f"tests.yaml: {test.name}: by")
        feed = found.feeds(on.model.schema)[spec.name]
        values = feed.reshape(len(feed), -1)[:, column]
        declared_values = next((one.categories for one in on.card.features if one.name == test.by), ())
    whole = values.astype(str) if values.dtype == np.object_ else values
    known: list[schema.Value] = list(declared_values) or np.unique(whole[whole == whole]).tolist()
    if len(known) > _MOST_GROUPS:
        raise naming.invalid(
            test.name, f"{test.by!r} has more than {_MOST_GROUPS} values: give an array with fewer groups"
        )
    for number, value in enumerate(known, 1):
        mask = np.asarray(whole == value)
        named = bool(declared_values) or int(mask.sum()) >= _NAMELESS
        yield f"{test.by} = {value}" if named else f"{test.by}, group {number}", mask
