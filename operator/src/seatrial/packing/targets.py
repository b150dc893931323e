"""The column that says what is right: checked against the model, as places in its classes or as numbers. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from seatrial.packing import errors, originals, tables

Array = np.ndarray[Any, Any]
_BINS = 10


def check(target: str | None, *, names: list[str], original: originals.Original | None) -> None:
    """Refuse a target that isn't there, or that the model was fitted on.

    Raises:
        BadInput: says which column is meant.
    """
    if target is None:
        return
    if target not in names:
        raise errors.BadInput(f"--target {target!r} is no column of the data, which has {errors.named(names)}")
    if original is not None and original.names is not None and target in original.names:
        raise errors.BadInput(
            f"the model was fitted on {target!r}, which is the target: it knows its answer: fit it without that column"
        )


def read(
    table: tables.Table, target: str | None, *, task: originals.Task, classes: tuple[originals.Label, ...]
) -> Array | None:
    """What is right for each row of the sample; None without a target.

    Raises:
        BadInput: labels are missing, or none of the model's.
    """
    if target is None:
        return None
    column = table.columns[target]
    if column.missing:
        rows = np.flatnonzero(table.frame[target].isna())[:3].tolist()
        where = f", such as row {rows[0]} of those read" if rows else ""
        raise errors.BadInput(
            f"target {target!r} is missing in {column.missing} of {table.rows} rows{where}: drop those rows"
        )
    if task == "regression":
        if column.kind == "text":
            raise errors.BadInput(f"target {target!r} is text, but the model answers numbers: name the right column")
        return np.asarray(table.frame[target].to_numpy(np.float64))
    return _places(table, target, classes)


def _places(table: tables.Table, target: str, classes: tuple[originals.Label, ...]) -> Array:
    if len(classes) > table.rows:
        raise errors.BadInput(
            f"the model has {len(classes)} classes, the data {table.rows} rows: give more rows, some of each class"
        )
    known = {one: place for place, one in enumerate(classes)}
    found = [_label(value, target) for value in table.frame[target]]
    strange = sorted({repr(one) for one in found if one not in known})
    if strange:
        raise errors.BadInput(
            f"target {target!r} holds {', '.join(strange[:5])}, which the model never answers: its classes are "
            f"{errors.named(classes)}: give the data the model was made for, with labels as it was fitted on them"
        )
    return np.array([known[one] for one in found], np.int64)


def _label(value: Any, target: str) -> originals.Label:
    try:
        return originals.label(value)
    except errors.BadInput as error:
        raise errors.BadInput(f"target {target!r}: {error}: is it the target of a regression?") from None


def strata(truth: Array | None, *, task: originals.Task) -> Array | None:
    """Classes, or tenths of the numbers."""
    if truth is None or task == "classification":
        return truth
    edges = np.quantile(truth, np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, truth))
