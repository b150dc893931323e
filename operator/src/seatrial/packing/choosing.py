"""The graph that will be served: the first way of converting that answers as the model does, or the graph as given."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial.packing import comparing, conversion, errors, graphs, originals, sources, tables


class Model(msgspec.Struct, frozen=True):
    """What later steps need, however the model was given. `named`: classes in the order of the scores."""

    converted: conversion.Converted
    task: originals.Task
    classes: tuple[originals.Label, ...]
    named: bool
    difference: comparing.Difference | None = None

    def answers(self, frame: tables.Frame, table: tables.Table) -> originals.Answers:
        """As the server will answer."""
        return comparing.answers(self.converted, self.converted.layout.feeds(frame, table.columns), self.classes)


def columns_of(
    original: originals.Original | None, names: list[str], target: str | None, features: Sequence[str] | None
) -> tuple[str, ...]:
    """The model's columns, in its order."""
    wanted = original.names if original is not None and original.names is not None else None
    if wanted is None:
        wanted = tuple(features) if features else tuple(name for name in names if name != target)
    absent = [name for name in wanted if name not in names]
    if absent:
        raise errors.BadInput(
            f"the data lacks {errors.named(absent)}, which the model takes: it has {errors.named(names)}"
        )
    if original is not None and original.count is not None and original.count != len(wanted):
        raise errors.BadInput(
            f"the model takes {original.count} columns, the data has {len(wanted)} besides the target "
            f"({errors.named(wanted)}): name the model's with --features, in its order"
        )
    return wanted


def choose(
    original: originals.Original | None,
    given: sources.Given,
    columns: tuple[str, ...],
    table: tables.Table,
    target: str | None,
    *,
    max_differing: float,
) -> Model:
    if original is None:
        return _as_given(given, columns, table, target)
    _numbers_only(original, columns, table)
    wanted = original.answers(table.frame, columns)
    tried: list[comparing.Difference] = []
    for layout in conversion.attempts(original, columns, table):
        converted = conversion.convert(original, layout)
        made = Model(converted, original.task, original.classes, named=True)
        found = comparing.compare(wanted, made.answers(table.frame, table))
        if found.share <= max_differing:
            return msgspec.structs.replace(made, difference=found)
        tried.append(found)
    best = min(tried, key=lambda one: one.differing)
    rounded = comparing.compare(wanted, original.answers(_rounded(table.frame, columns), columns))
    told = msgspec.structs.replace(best, rounding=min(rounded.differing, best.differing)).told()
    raise errors.AnswersDiffer(
        f"the converted model answers otherwise: {told}; allowed are {max_differing:.2%} (--max-differing): round the "
        "columns before the model is fitted, use fewer or coarser values, or allow more"
    )


def _as_given(given: sources.Given, columns: tuple[str, ...], table: tables.Table, target: str | None) -> Model:
    """A graph without its original; its classes are those that it and the target say."""
    converted = graphs.read(given.graph, columns)
    if converted.number:
        return Model(converted, "regression", (), named=False)
    feeds = converted.layout.feeds(table.frame, table.columns)
    found = set(comparing.labels(converted, feeds))
    if target is not None:
        found |= {originals.label(value) for value in table.frame[target].dropna()}
    return Model(converted, "classification", tuple(sorted(found, key=lambda one: (str(type(one)), one))), named=False)


def _numbers_only(original: originals.Original, columns: tuple[str, ...], table: tables.Table) -> None:
    """Refuse text for who was fitted on numbers."""
    texts = [name for name in columns if table.columns[name].kind == "text"]
    if not texts or (original.library == "sklearn" and original.names is not None):
        return
    values = table.frame[texts[0]].dropna()
    raise errors.BadInput(
        f"column {texts[0]!r} is text, such as {values.iloc[0]!r}, but the model takes numbers: clean it, or encode "
        "texts inside a pipeline that is fitted on a DataFrame (OneHotEncoder in a ColumnTransformer)"
    )


def _rounded(frame: tables.Frame, columns: tuple[str, ...]) -> tables.Frame:
    changed = frame.copy()
    for name in columns:
        if changed[name].dtype.kind == "f":
            changed[name] = changed[name].astype(np.float32).astype(np.float64)
    return changed


def closed(original: originals.Original | None, columns: tuple[str, ...], table: tables.Table) -> tuple[str, ...]:
    if original is None:
        return ()
    texts = (name for name in columns if table.columns[name].kind == "text")
    return tuple(name for name in texts if not original.takes_unseen(table.frame, columns, name))
