"""Frozen bins of features and predictions, made once from the package's reference rows.

Counters over fixed bins add up over pods and time, which scores of drift do not. `reference.npz` holds the rows, else
`calibration.npz`; without either there are no bins. Numbers get deciles of the reference, or one bin per value when it
has few of them; everything outside of the reference has a bin of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from seatrial_server.model import bins, datatypes, schema, session

MAX_FEATURES = 64
MAX_OUTPUTS = 32
MAX_ROWS = 2000
_MAX_CATEGORIES = 20
_FEW = 10
_MAX_LABEL = 60
_MAX_RARE = 1000


def features(card: schema.Card, model: schema.Schema, rows: Sequence[session.Array]) -> tuple[bins.Bins, ...]:
    """Bins of the first columns of all inputs."""
    first = itertools.islice(columns(card, model, rows), MAX_FEATURES)
    return tuple(_with_bins(one.place, one.values, known=one.known) for one in first)


class Column(msgspec.Struct, frozen=True):
    """One column of an input: its name and place, as bins that have no edges yet, and what the rows hold in it."""

    place: bins.Bins
    values: session.Array
    known: list[Any]
    """Declared categories."""


def columns(
    card: schema.Card, model: schema.Schema, rows: Sequence[session.Array], *, of: Container[int] | None = None
) -> Iterator[Column]:
    """Every column of the inputs that have a fixed number of them, in the graph's order. `of`: only these inputs."""
    described: dict[str, list[schema.Feature]] = {}
    for feature in card.features:
        described.setdefault(feature.input or model.inputs[0].name, []).append(feature)
    for index, (spec, array) in enumerate(zip(model.inputs, rows, strict=True)):
        if schema.FREE in model.row_shape(spec) or (of is not None and index not in of):
            continue
        told = described.get(spec.name)
        flat = array.reshape(len(array), -1)
        for column in range(flat.shape[1]):
            name = told[column].name if told else str(column)
            known = told[column].categories if told else ()
            prefix = f"{spec.name}." if len(model.inputs) > 1 else ""
            dtype = datatypes.BY_NAME[spec.datatype].dtype
            yield Column(
                place=bins.Bins(name=f"{prefix}{name}", tensor=index, column=column),
                values=flat[:, column],
                known=np.array(known, dtype).tolist(),
            )


def outputs(card: schema.Card, model: schema.Schema, answers: Sequence[session.Array]) -> tuple[bins.Bins, ...]:
    """Bins of every output: classes, a number, or the highest of several scores."""
    result = []
    for index, (spec, array) in enumerate(zip(model.outputs, answers, strict=True)):
        flat = array.reshape(len(array), -1)
        floating = datatypes.BY_NAME[spec.datatype].floating
        if schema.FREE in model.row_shape(spec) or (not floating and flat.shape[1] != 1):
            continue
        named = card.outputs.label == spec.name
        known = [label for label in card.labels if named and isinstance(label, str) is (spec.datatype == "BYTES")]
        made = bins.Bins(name=spec.name, tensor=index, column=0 if flat.shape[1] == 1 else bins.TOP)
        values = flat.max(axis=1)
        if floating and card.task != "regression" and values.min() >= 0 and values.max() <= 1:
            result.append(msgspec.structs.replace(made, edges=tuple(round(tenth / 10, 1) for tenth in range(11))))
        else:
            result.append(_with_bins(made, _rounded(values) if floating else values, known=known))
        if len(result) == MAX_OUTPUTS:
            break
    return tuple(result)


def _with_bins(made: bins.Bins, values: session.Array, *, known: list[Any]) -> bins.Bins:
    present = present_of(values)
    distinct, counts = np.unique(present, return_counts=True)
    if numeric(present, distinct, known=known):
        edges = np.unique(np.quantile(present.astype(np.float64), np.linspace(0, 1, _FEW + 1)))
        return msgspec.structs.replace(made, edges=tuple(edges.tolist()))
    by_count = [distinct[index].item() for index in np.argsort(-counts, kind="stable")]
    values_in_order = [*known, *(value for value in by_count if value not in known)]
    kept = [value for value in values_in_order if len(bins.label(value)) <= _MAX_LABEL][:_MAX_CATEGORIES]
    rare = [value for value in values_in_order if value not in kept][:_MAX_RARE]
    return msgspec.structs.replace(made, categories=tuple(kept), rare=tuple(rare))


def present_of(values: session.Array) -> session.Array:
    """Values that are there, as numbers or texts: a category is one of these."""
    if values.dtype == np.object_:
        return values[[value is not None and value != "" for value in values]].astype(str)
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def numeric(present: session.Array, distinct: session.Array, *, known: Sequence[Any]) -> bool:
    """Whether a column is a number; else each of its values is a category."""
    return not known and present.dtype.kind != "U" and len(distinct) > _FEW


def _rounded(values: session.Array) -> session.Array:
    """Three digits: another CPU answers with other last digits, and must come to the same edges."""
    return np.array([float(f"{value:.3g}") for value in values.tolist()])
