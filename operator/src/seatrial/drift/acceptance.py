"""The accept-drift command: what a column has looked like lately becomes what it is held against, for one revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from seatrial.drift import phi, season, windows
from seatrial.drift.columns import Column, Floats, Share
from seatrial.drift.course import Trace
from seatrial.drift.policy import Policy
from seatrial.drift.season import Season
from seatrial.drift.tests import Question
from seatrial.drift.watch import Memory


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column's share of each bin, of so many rows' worth."""

    column: str
    shares: tuple[Share, ...]
    rows: Annotated[int, Meta(ge=1)]


def in_force(columns: Sequence[Column], accepted: Iterable[Reference]) -> tuple[Column, ...]:
    """The columns with accepted references in place of the package's; one for another set of bins counts as none."""
    by_name = {one.column: one for one in accepted}

    def held(column: Column) -> Column:
        found = by_name.get(column.name)
        if found is None or len(found.shares) != len(column.bins):
            return column
        return msgspec.structs.replace(column, reference=found.shares, rows=found.rows)

    return tuple(held(one) for one in columns)


def accept(memory: Memory, columns: Sequence[Column], policy: Policy) -> tuple[Memory, tuple[Reference, ...]]:
    """The alarming columns' references from the last season, and the memory in which nothing before it counts.

    The season is a day; a week where that was asked for, or where only weeks showed it. What was refused for a value
    counts as missing, or as outside, as it does in the tests.
    """
    alarms = dict(memory.alarms)
    anew = dict(memory.anew)
    found = list[Reference]()
    for column in columns:
        own = [alarm for (name, _), alarm in alarms.items() if name == column.name]
        trace = memory.traces.get(column.name)
        if not own or trace is None:
            continue
        weekly = policy.season is Season.WEEK or min(one.window for one in own) >= season.WEEK * windows.DAY
        counts, hours = _last_season(trace.past, weekly=weekly)
        if not counts.sum():
            continue
        found.append(_reference(column, counts, trace))
        for question in Question:
            alarms.pop((column.name, question), None)
            anew[column.name, question] = trace.past.at - hours
    return Memory(memory.traces, alarms, anew), tuple(found)


def _last_season(past: windows.Past, *, weekly: bool) -> tuple[Floats, int]:
    """Rows of it, and its length; the last day where no week is known."""
    week = windows.last(past, season.WEEK) if weekly else None
    if week is not None:
        return week, season.WEEK * windows.DAY
    return past.hours.sum(axis=0), windows.DAY


def _reference(column: Column, counts: Floats, trace: Trace) -> Reference:
    bins = len(column.bins)
    rows = counts[:bins].copy()
    rows[0] += counts[bins]
    rows[bins - 1 if column.ordered else 1] += counts[bins + 1]
    noise = float(phi.of(trace.noise.get(Question.SHAPE, phi.UNKNOWN)))
    shares = rows / rows.sum()
    return Reference(column.name, tuple(np.round(shares, 9).tolist()), max(1, int(rows.sum() / noise)))
