"""`model.yaml`: what the graph cannot say, found in the data and by asking the model.

A range reaches one span of the data beyond each end: wide enough for honest traffic, narrow enough for a wrong unit.
Texts are categories only where the model fails on others; missing numbers are allowed where the data has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from seatrial.packing import conversion, layouts, originals, tables

_DIGITS = 3


class Description(msgspec.Struct, frozen=True):
    """What is known of the model besides its graph. `closed`: texts for which the model takes no new values."""

    task: originals.Task
    classes: tuple[originals.Label, ...]
    columns: Mapping[str, tables.Column]
    closed: Collection[str] = ()
    provenance: Mapping[str, Any] = {}
    intended_use: str = ""


def card(converted: conversion.Converted, said: Description) -> dict[str, Any]:
    """The content of model.yaml."""
    result: dict[str, Any] = {"task": said.task, "features": features(converted.layout, said)}
    outputs = {"label": converted.label, "probabilities": converted.scores}
    if any(outputs.values()):
        result["outputs"] = {key: name for key, name in outputs.items() if name}
    if said.classes:
        result["labels"] = list(said.classes)
    result["provenance"] = dict(said.provenance)
    if said.intended_use:
        result["intendedUse"] = said.intended_use
    return result


def features(layout: layouts.Layout, said: Description) -> list[dict[str, Any]]:
    """One entry a column, in the order of the inputs."""
    several = len(layout.inputs) > 1
    return [
        {
            "name": name,
            **({"input": one.name} if several else {}),
            **(_text(said.columns[name], said) if one.datatype == "BYTES" else _number(said.columns[name], one)),
        }
        for one in layout.inputs
        for name in one.columns
    ]


def _number(column: tables.Column, one: layouts.Input) -> dict[str, Any]:
    if one.datatype == "BOOL":
        return {}
    missing = {"missing": "allow"} if column.missing else {}
    return {"range": reach(column), **missing}


def reach(column: tables.Column) -> list[float]:
    """The allowed range."""
    span = column.highest - column.lowest or abs(column.highest) or 1.0
    lowest = min(_rounded(column.lowest - span), column.lowest)
    if column.lowest >= 0:
        lowest = max(0.0, lowest)
    return [lowest, max(_rounded(column.highest + span), column.highest)]


def _text(column: tables.Column, said: Description) -> dict[str, Any]:
    """A missing text never reaches a model: tensors of texts have no word for it."""
    result: dict[str, Any] = {}
    if column.values and column.name in said.closed:
        result["categories"] = list(column.values)
    if column.missing:
        result |= {"missing": "impute", "default": column.commonest}
    return result


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
