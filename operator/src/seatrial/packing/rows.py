"""Rows of the package as tensors: reference, calibration, holdout, and what the graph answers to the last."""

from __future__ import annotations

import msgspec
import numpy as np

from seatrial.packing import choosing, expectations, layouts, originals, splitting, tables, targets


class Rows(msgspec.Struct, frozen=True):
    """`shown`: the holdout rows with the graph's answers; `labels`: what is right for them, where the data says it.

    `expected`: the model's own answers to the reference rows.
    """

    reference: layouts.Feeds
    calibration: layouts.Feeds
    shown: expectations.Shown
    labels: originals.Array | None
    expected: choosing.Expected

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        feeds = {"reference": self.reference, "calibration": self.calibration, "holdout": self.shown.feeds}
        return {name: len(next(iter(arrays.values()))) for name, arrays in feeds.items()}


def gather(
    made: choosing.Model, table: tables.Table, held_out: tables.Table | None, *, target: str | None, seed: int
) -> Rows:
    """Divide the rows of the data; the holdout rows come from `held_out` if there is such data."""
    truth = targets.read(table, target, task=made.task, classes=made.classes)
    strata = targets.strata(truth, task=made.task)
    parted = splitting.split(len(table.frame), strata=strata, seed=seed, held_out=held_out is not None)
    source, rows = table, parted.holdout
    if held_out is not None:
        truth = targets.read(held_out, target, task=made.task, classes=made.classes)
        strata = targets.strata(truth, task=made.task)
        source, rows = held_out, splitting.chosen(len(held_out.frame), strata=strata, seed=seed)
    right = None if truth is None else truth[rows]
    layout, columns = made.converted.layout, table.columns
    return Rows(
        reference=layout.feeds(table.frame.iloc[parted.reference], columns),
        calibration=layout.feeds(table.frame.iloc[parted.calibration], columns),
        shown=_shown(made, source.frame.iloc[rows], table, right),
        expected=made.expected(table.frame.iloc[parted.reference], table)
        if len(parted.reference)
        else choosing.Expected(),
        labels=right if right is None or made.task == "regression" else np.array(made.classes)[right],
    )


def _shown(
    made: choosing.Model, frame: tables.Frame, table: tables.Table, right: originals.Array | None
) -> expectations.Shown:
    return expectations.Shown(
        feeds=made.converted.layout.feeds(frame, table.columns),
        classes=made.classes,
        answers=made.answers(frame, table) if len(frame) else originals.Answers(),
        truth=right,
    )
