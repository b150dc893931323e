"""Frozen bins of features and predictions, made once from the package's reference rows.

Counters over fixed bins add up over pods and time, which scores of drift do not. `reference.npz` holds the rows, else
`calibration.npz`; without either there are no bins. Numbers get deciles of the reference, or one bin per value when it
has few of them; everything outside of the reference has a bin of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    result = []
    described: dict[str, list[schema.Feature]] = {}
    for feature in card.features:
        described.setdefault(feature.input or model.inputs[0].name, []).append(feature)
    for index, (spec, array) in enumerate(zip(model.inputs, rows, strict=True)):
        if schema.FREE in model.row_shape(spec):
            continue
        columns = described.get(spec.name)
        flat = array.reshape(len(array), -1)
        for column in range(flat.shape[1]):
            name = columns[column].name if columns else str(column)
            known = columns[column].categories if columns else ()
            prefix = f"{spec.name}." if len(model.inputs) > 1 else ""
            made = bins.Bins(name=f"{prefix}{name}", tensor=index, column=column)
            dtype = datatypes.BY_NAME[spec.datatype].dtype
            result.append(_with_bins(made, flat[:, column], known=np.array(known, dtype).tolist()))
            if len(result) == MAX_FEATURES:
                return tuple(result)
    return tuple(result)


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
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values  # a category is a number or a text
    present = values[[value is not None and value != "" for value in values]] if values.dtype == np.object_ else values
    if present.dtype.kind == "f":
        present = present[np.isfinite(present)]
    distinct, counts = np.unique(present.astype(str) if present.dtype == np.object_ else present, return_counts=True)
    if not known and present.dtype != np.object_ and len(distinct) > _FEW:
        edges = np.unique(np.quantile(present.astype(np.float64), np.linspace(0, 1, _FEW + 1)))
        return msgspec.structs.replace(made, edges=tuple(edges.tolist()))
    by_count = [distinct[index].item() for index in np.argsort(-counts, kind="stable")]
    values_in_order = [*known, *(value for value in by_count if value not in known)]
    kept = [value for value in values_in_order if len(bins.label(value)) <= _MAX_LABEL][:_MAX_CATEGORIES]
    rare = [value for value in values_in_order if value not in kept][:_MAX_RARE]
    return msgspec.structs.replace(made, categories=tuple(kept), rare=tuple(rare))


def _rounded(values: session.Array) -> session.Array:
    """Three digits: another CPU answers with other last digits, and must come to the same edges."""
    return np.array([float(f"{value:.3g}") for value in values.tolist()])
