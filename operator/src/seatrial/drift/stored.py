"""A memory as JSON, and back: whole numbers as they were counted."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from seatrial.drift import phi, windows
from seatrial.drift.columns import Count, Floats
from seatrial.drift.course import Trace
from seatrial.drift.judgement import Finding
from seatrial.drift.tests import Question
from seatrial.drift.watch import Memory

Rows = tuple[tuple[Count, ...], ...]


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Squares and degrees of freedom between pods and between days, and how many pairs of days there were."""

    pods_squares: float
    pods_freedom: float
    days_squares: float
    days_freedom: float
    pairs: int


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A column's past, the newest last."""

    at: Count
    hours: Annotated[Rows, Meta(max_length=windows.DAY)]
    hours_seen: tuple[bool, ...]
    days: Annotated[Rows, Meta(max_length=windows.MOST_DAYS)]
    days_seen: tuple[Count, ...]
    noise: dict[Question, Noise]


class Anew(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which hour on a test counts again."""

    column: str
    test: Question
    at: Count


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The memory of one deployment and revision."""

    columns: dict[str, Column]
    alarms: tuple[Finding, ...] = ()
    anew: tuple[Anew, ...] = ()


def state(memory: Memory) -> State:
    """A memory, to be written."""
    return State(
        columns={name: _column(trace) for name, trace in memory.traces.items()},
        alarms=tuple(memory.alarms.values()),
        anew=tuple(Anew(column, test, at) for (column, test), at in memory.anew.items()),
    )


def memory(state: State, places: dict[str, int]) -> Memory:
    """What was written, for columns with so many places each.

    Raises:
        ValueError: counts of another shape; names the field.
    """
    unknown = state.columns.keys() - places.keys()
    if unknown:
        raise ValueError(f"state.columns has {min(unknown)!r}, which is no column")
    newest = max((one.at for one in state.columns.values()), default=0)
    if any((alarm.since or 0) > newest for alarm in state.alarms):
        raise ValueError("state.alarms has one that began after all that is known")
    return Memory(
        traces={name: _trace(name, one, places[name]) for name, one in state.columns.items()},
        alarms={alarm.key: alarm for alarm in state.alarms},
        anew={(one.column, one.test): one.at for one in state.anew},
    )


def _column(trace: Trace) -> Column:
    past = trace.past
    return Column(
        at=past.at,
        hours=_rows(past.hours),
        hours_seen=tuple(past.hours_seen.tolist()),
        days=_rows(past.days),
        days_seen=tuple(past.days_seen.tolist()),
        noise={question: _noise(noise) for question, noise in trace.noise.items()},
    )


def _noise(noise: phi.Noise) -> Noise:
    return Noise(
        pods_squares=round(float(noise.pods.squares), 6),
        pods_freedom=float(noise.pods.freedom),
        days_squares=round(float(noise.days.squares), 6),
        days_freedom=float(noise.days.freedom),
        pairs=noise.pairs,
    )


def _rows(array: Floats) -> Rows:
    return tuple(tuple(row) for row in array.astype(np.int64).tolist())


def _trace(name: str, one: Column, places: int) -> Trace:
    for field, rows, seen in (("hours", one.hours, one.hours_seen), ("days", one.days, one.days_seen)):
        if any(len(row) != places for row in rows):
            raise ValueError(f"state.columns.{name}.{field} must have {places} counts a row: its bins and two")
        if len(rows) != len(seen):
            raise ValueError(f"state.columns.{name}.{field}Seen must be as long as {field}")
    past = windows.Past(
        at=one.at,
        hours=_array(one.hours, places),
        hours_seen=np.array(one.hours_seen, dtype=np.bool_),
        days=_array(one.days, places),
        days_seen=np.array(one.days_seen, dtype=np.int64),
    )
    return Trace(past, {question: _noise_of(noise) for question, noise in one.noise.items()})


def _noise_of(noise: Noise) -> phi.Noise:
    pods = phi.Sums(np.array(noise.pods_squares), np.array(noise.pods_freedom))
    return phi.Noise(pods, phi.Sums(np.array(noise.days_squares), np.array(noise.days_freedom)), noise.pairs)


def _array(rows: Rows, places: int) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(len(rows), places)
