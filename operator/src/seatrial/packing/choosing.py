"""The graph that will be served: the first way of converting that answers as the model does, or the graph as given."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial.packing import comparing, conversion, errors, graphs, layouts, originals, sources, tables


class Expected(msgspec.Struct, frozen=True):
    """By output, the model's own answers to some rows; `differing`: the share that the graph answers otherwise."""

    outputs: layouts.Feeds = {}
    differing: float = 0.0


class Model(msgspec.Struct, frozen=True):
    """What later steps need, however the model was given. `named`: classes in the order of the scores.

    `original` and `difference`: where the graph was converted from something.
    """

    converted: conversion.Converted
    task: originals.Task
    classes: tuple[originals.Label, ...]
    named: bool
    difference: comparing.Difference | None = None
    original: originals.Original | None = None

    def answers(self, frame: tables.Frame, table: tables.Table) -> originals.Answers:
        """As the server will answer."""
        return comparing.answers(self.converted, self.converted.layout.feeds(frame, table.columns), self.classes)

    def expected(self, frame: tables.Frame, table: tables.Table) -> Expected:
        """What is answered where the model was trained: by its library, or by a graph that was given."""
        converted, feeds = self.converted, self.converted.layout.feeds(frame, table.columns)
        if self.original is None:
            return Expected(comparing.outputs(converted, feeds))
        known, made = self.original.answers(frame, converted.layout.columns), self.answers(frame, table)
        found: layouts.Feeds = {}
        if converted.label and known.labels is not None:
            found[converted.label] = np.array(self.classes)[known.labels]
        scores, numbers = (known.scores, made.scores), (known.numbers, made.numbers)
        for name, (own, graphs_own) in ((converted.scores, scores), (converted.number, numbers)):
            if name and own is not None and graphs_own is not None and own.shape == graphs_own.shape:
                found[name] = own
        return Expected(found, differing=comparing.compare(known, made).share)


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
    """The graph to serve.

    Raises:
        BadInput: the data isn't what the model takes.
        CannotConvert: no way leads to a graph that runs.
        AnswersDiffer: each answers otherwise on more rows than allowed.
    """
    if original is None:
        return _as_given(given, columns, table, target)
    _numbers_only(original, columns, table)
    wanted = original.answers(table.frame, columns)
    tried: list[comparing.Difference] = []
    failed: list[errors.CannotConvert] = []
    for layout in conversion.attempts(original, columns, table):
        try:
            converted = conversion.convert(original, layout)
            made = Model(converted, original.task, original.classes, named=True, original=original)
            found = comparing.compare(wanted, made.answers(table.frame, table))
        except errors.CannotConvert as error:  # not every exporter knows every type
            failed.append(error)
            continue
        if found.share <= max_differing:
            return msgspec.structs.replace(made, difference=found)
        tried.append(found)
    if not tried:
        raise failed[0]
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
        dtype = changed[name].dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "fi":
            changed[name] = changed[name].astype(np.float32).astype(dtype)
    return changed


def closed(original: originals.Original | None, columns: tuple[str, ...], table: tables.Table) -> tuple[str, ...]:
    if original is None:
        return ()
    texts = (name for name in columns if table.columns[name].kind == "text")
    return tuple(name for name in texts if not original.takes_unseen(table.frame, columns, name))
