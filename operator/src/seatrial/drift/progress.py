"""For pictures: how far the evidence of every test has come to its bound, and a column beside its reference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from seatrial.drift import bound, course, tests, watch, windows, words
from seatrial.drift.columns import Column
from seatrial.drift.policy import Policy


@dataclasses.dataclass(frozen=True)
class Progress:
    """Of one test at one hour: the power of ten of its evidence as a part of that of the bound; it alarms at 1."""

    column: str
    question: tests.Question
    part: float


@dataclasses.dataclass(frozen=True)
class Beside:
    """A column's bins in words, and the share of each in the reference and among `rows` of the last `hours`."""

    column: str
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    now: tuple[float, ...]
    rows: int
    hours: int


def of(memory: watch.Memory, *, columns: Sequence[Column], policy: Policy) -> Iterator[Progress]:
    """Every test that could be looked at now."""
    judged = [column for column in columns if column.name not in policy.ignore]
    enough = math.log(bound.of(policy.false_alarm_rate, max(1, len(judged)) * tests.PER_COLUMN))
    for column in judged:
        trace = memory.traces.get(column.name)
        if trace is None:
            continue
        best: dict[tests.Question, float] = {}
        for look in course.looks(trace, tests.of(column, policy), of=policy.season):
            found = max(0.0, float(look.log_evidence)) / enough
            best[look.test.question] = max(best.get(look.test.question, 0.0), found)
        yield from (Progress(column.name, question, part) for question, part in best.items())


def beside(memory: watch.Memory, column: Column) -> Beside | None:
    """The last day of a column, or what there is of it; None where there are no rows."""
    trace = memory.traces.get(column.name)
    bins = len(column.bins)
    counts = np.zeros(0) if trace is None else trace.past.hours.sum(axis=0)
    if trace is None or not counts.sum():
        return None
    refused = dict(zip(("missing", "outside"), counts[bins:].tolist(), strict=True))
    rows = [*counts[:bins].tolist(), refused["outside"]]
    rows[0] += refused["missing"]
    total = sum(rows)
    shares = zip((*words.bins(column), "refused"), (*column.reference, 0.0), rows, strict=True)
    names, reference, now = zip(
        *((name, was, count / total) for name, was, count in shares if was or count), strict=True
    )
    return Beside(column.name, names, reference, now, rows=int(total), hours=len(trace.past.hours))


def days(memory: watch.Memory) -> Iterator[watch.Memory]:
    """The memory as it stood at the end of each whole day that it holds, the oldest first.

    Of such a day the hours are not kept: each counts as one twenty-fourth. Alarms are those of the end alone.
    """
    longest = max((len(trace.past.days) for trace in memory.traces.values()), default=0)
    for back in reversed(range(longest)):
        traces = {
            name: course.Trace(_cut(trace.past, back), trace.noise)
            for name, trace in memory.traces.items()
            if len(trace.past.days) > back
        }
        yield watch.Memory(traces)


def _cut(past: windows.Past, back: int) -> windows.Past:
    kept = len(past.days) - back
    end = past.at - (past.at + 1) % windows.DAY - back * windows.DAY
    hours = np.repeat(past.days[kept - 1][None] / windows.DAY, windows.DAY, axis=0)
    seen = np.arange(windows.DAY) < past.days_seen[kept - 1]
    return windows.Past(end, hours, seen, past.days[:kept], past.days_seen[:kept])
