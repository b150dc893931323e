"""A whole deployment, hour by hour: counts of all pods in, memory and judgement out.

The memory is a value: what is kept between looks, in a ConfigMap or a file, is exactly it (see `stored`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from seatrial.drift import bound, course, decision, season, tests, together, windows
from seatrial.drift import columns as columns_
from seatrial.drift.columns import Column, Count, Floats
from seatrial.drift.course import Look, Trace
from seatrial.drift.judgement import Finding, Judgement, Outcome
from seatrial.drift.policy import Policy
from seatrial.drift.season import Season
from seatrial.drift.tests import Question, Test
from seatrial.drift.together import Asked, Block

PODS_SEEN = 0.8
"""Share of the ready pods that must have answered for an hour to count."""
Key = tuple[str, Question]


class Pod(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows of one pod in one hour: by column in the order of its bins, and refused ones by column and code."""

    rows: dict[str, tuple[Count, ...]]
    refused: dict[str, dict[str, Count]] = {}
    name: str = ""


class Hour(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One hour, counted from the epoch, with `ready` pods; None: those that are there."""

    at: Count
    pods: tuple[Pod, ...]
    ready: Count | None = None


@dataclasses.dataclass(frozen=True)
class Memory:
    """What is known before the next hour.

    `alarms` stand until a season is calm; after that only windows that begin at the hour in `anew` count again.
    """

    traces: Mapping[str, Trace]
    alarms: Mapping[Key, Finding] = dataclasses.field(default_factory=dict)
    anew: Mapping[Key, int] = dataclasses.field(default_factory=dict)


EMPTY = Memory({})


def after(memory: Memory, hour: Hour, *, columns: Sequence[Column], policy: Policy) -> tuple[Memory, Judgement]:
    """One more hour, and what is to be said now.

    Raises:
        ValueError: the hour isn't later than the last one, or a count doesn't fit its column.
    """
    asked = _asked(columns, policy)
    seen = bool(hour.pods) and len(hour.pods) >= PODS_SEEN * (hour.ready or 0)
    blocks = [_after(block, hour, seen=seen) for block in together.blocks(asked, memory.traces, at=hour.at)]
    known = dict(pair for block in blocks for pair in block.apart())
    traces = {column.name: known[column.name] for column, _ in asked}
    return _judge(dataclasses.replace(memory, traces=traces), asked, blocks, policy)


def judge(memory: Memory, *, columns: Sequence[Column], policy: Policy) -> tuple[Memory, Judgement]:
    """What is to be said at the last hour of a memory. Columns that it doesn't know are not judged."""
    known = [(column, own) for column, own in _asked(columns, policy) if column.name in memory.traces]
    return _judge(memory, known, together.blocks(known, memory.traces, at=0), policy)


def _asked(columns: Sequence[Column], policy: Policy) -> list[Asked]:
    return [(column, tests.of(column, policy)) for column in columns if column.name not in policy.ignore]


def _judge(memory: Memory, asked: Sequence[Asked], blocks: Sequence[Block], policy: Policy) -> tuple[Memory, Judgement]:
    enough = bound.of(policy.false_alarm_rate, max(1, len(asked)) * tests.PER_COLUMN)
    watched = {(column.name, test.question) for column, own in asked for test in own}
    alarms = {key: alarm for key, alarm in memory.alarms.items() if key in watched}
    anew, findings, at = dict(memory.anew), list[Finding](), 0
    suspicious, seen = _suspicious(blocks, policy, enough=enough, anew=anew)
    for column, own in asked:
        trace = memory.traces[column.name]
        at = trace.past.at
        found = decision.strongest(suspicious.get(column.name, ()), column, bound=enough)
        findings += found
        _raise(alarms, found, at)
        for test in own:
            key = (column.name, test.question)
            if key in alarms and (days := _calm(trace, test, policy)):
                del alarms[key]
                anew[key] = at - days * windows.DAY
    judged = decision.judged(at, findings, tuple(alarms.values()), seen=seen)
    return Memory(memory.traces, alarms, anew), judged


def _suspicious(
    blocks: Sequence[Block], policy: Policy, *, enough: float, anew: Mapping[Key, int]
) -> tuple[dict[str, list[Look]], bool]:
    """The looks that give rise to words, by column; and whether there was any look that counts."""
    found, seen = dict[str, list[Look]](), False
    for block in blocks:
        for look in course.looks(block.trace, block.tests, of=policy.season):
            counts = [_counts(look, column, block.trace.past.at, anew) for column, _ in block.asked]
            seen = seen or any(counts)
            for place in np.flatnonzero(decision.suspicious(look, enough) & counts).tolist():
                found.setdefault(block.asked[place][0].name, []).append(block.look(look, place))
    return found, seen


def _after(block: Block, hour: Hour, *, seen: bool) -> Block:
    pods = _pods(hour, [column for column, _ in block.asked])
    return dataclasses.replace(block, trace=course.after(block.trace, hour.at, pods, tests=block.tests, seen=seen))


def _pods(hour: Hour, columns: Sequence[Column]) -> Floats:
    """[pods, columns, places]; a pod that doesn't know a column has no rows of it."""
    rows = [
        columns_.counts(one, pod.rows.get(one.name, (0,) * len(one.bins)), pod.refused.get(one.name, {}))
        for pod in hour.pods
        for one in columns
    ]
    return np.array(rows, dtype=np.float64).reshape(len(hour.pods), len(columns), columns_.places(columns[0]))


def _counts(look: Look, column: Column, at: int, anew: Mapping[Key, int]) -> bool:
    """Whether a window holds only time after the last alarm of its test was over."""
    begin = anew.get((column.name, look.test.question))
    return begin is None or at - look.window.hours >= begin


def _raise(alarms: dict[Key, Finding], findings: Sequence[Finding], at: int) -> None:
    """New alarms, and standing ones in their strongest form."""
    for finding in findings:
        before = alarms.get(finding.key)
        if finding.outcome is Outcome.DRIFTED and (before is None or finding.log_evidence > before.log_evidence):
            since = at if before is None else before.since
            alarms[finding.key] = msgspec.structs.replace(finding, since=since)


def _calm(trace: Trace, test: Test, policy: Policy) -> int:
    """Days of the season that has just been calm, 0 if none: one day, or a week where days stray from each other."""
    seasons = (windows.DAY, season.WEEK * windows.DAY)
    found = {
        window.hours: course.look(trace, test, window, of=policy.season)
        for window in windows.of(trace.past, policy.season)
        if window.hours in seasons
    }
    day = found.get(windows.DAY)
    weekly = policy.season is Season.WEEK or (day is not None and float(day.room) > 0)
    days = season.WEEK if weekly else 1
    look = found.get(days * windows.DAY)
    return days if look is not None and decision.calm(look) else 0
