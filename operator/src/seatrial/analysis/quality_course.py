"""The days of one revision's labels and what was said of them: a value that goes from look to look and to a file. Pure.

An alarm stands until a whole week lies below what alarmed; then only days after it may alarm again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from seatrial.analysis import quality_after
from seatrial.analysis.quality_after import Amount, Day, Record, Standing

VERSION = 1
MOST_DAYS = 80
"""A horizon of 60 days, and the days that are looked at."""
LEAST = 1e-3  # of a label
Number = Annotated[int, Meta(ge=-(2**40), le=2**40)]


class Numbered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One day on file."""

    number: Number
    rows: Amount
    labelled: Amount
    wrong: Amount


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What is known before the next day.

    Attributes:
        until: up to which moment of their requests cohorts are in `days`.
        first: the first weeks, once they are over.
        both: labels of more than one class have come.
        fair: that is so, or nothing speaks against it.
        judged: the last day that was judged.
        alarm: the standing that alarms, as long as it does; `alarm_since`: since which day.
        anew: the first day that may alarm again.
    """

    until: float = 0.0
    days: Annotated[tuple[Numbered, ...], Meta(max_length=MOST_DAYS)] = ()
    first: Record | None = None
    both: bool = False
    fair: bool = True
    judged: Number | None = None
    alarm: Standing | None = None
    alarm_since: Number | None = None
    anew: Number | None = None


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `day`: its length in seconds."""

    version: int
    revision: str
    day: Annotated[int, Meta(ge=1)]
    memory: Memory


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is tolerated, and what the trial's holdout has shown."""

    most: float
    tolerance: float
    rate: float
    holdout: tuple[int, int] | None = None


class Unreadable(ValueError):
    """The file can't be used; the text says why."""


def pack(memory: Memory, *, revision: str, day: int) -> bytes:
    return msgspec.json.encode(Kept(VERSION, revision, day, memory))


def unpack(content: bytes, *, revision: str, day: int) -> Memory:
    """Raises Unreadable: of another release, revision or clock, or not ours at all."""
    try:
        found = msgspec.json.decode(content, type=Kept)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    if (found.version, found.revision, found.day) != (VERSION, revision, day):
        raise Unreadable("it is of another release or revision")
    counted = (*found.memory.days, *((found.memory.first,) if found.memory.first is not None else ()))
    if any(one.wrong > one.labelled or 0 < one.labelled < LEAST for one in counted):
        raise Unreadable("it has days with counts that no labels give")
    return found.memory


def by_number(memory: Memory) -> dict[int, Day]:
    return {one.number: Day(one.rows, one.labelled, one.wrong) for one in memory.days}


def with_days(memory: Memory, days: Mapping[int, Day], *, until: float) -> Memory:
    """The newest of these days, and up to where they are known."""
    numbered = (Numbered(number, day.rows, day.labelled, day.wrong) for number, day in sorted(days.items()))
    return msgspec.structs.replace(memory, days=tuple(numbered)[-MOST_DAYS:], until=until)


def whole(memory: Memory, last: int) -> list[Day]:
    """The days up to one, without gaps, the newest last; those that are looked at."""
    days = by_number(memory)
    numbers = [number for number in days if number <= last]
    if not numbers:
        return []
    start = max(min(numbers), last - quality_after.KEPT + 1)
    return [days.get(number, Day(0, 0, 0)) for number in range(start, last + 1)]


def judged(memory: Memory, last: int, policy: Policy) -> tuple[Memory, Standing | None]:
    """What is to be said at the end of a day: a standing alarm, else the strongest of what is asked."""
    days = whole(memory, last)
    first = memory.first or quality_after.record(days)
    since = 0 if memory.anew is None else max(0, memory.anew - (last - len(days) + 1))
    now = quality_after.judge(
        days,
        most=policy.most,
        tolerance=policy.tolerance,
        holdout=policy.holdout,
        rate=policy.rate,
        first=first,
        fair=memory.fair,
        since=since,
    )
    memory = msgspec.structs.replace(memory, first=first, judged=last)
    alarm, begun = memory.alarm, last if memory.alarm_since is None else memory.alarm_since
    if alarm is not None and last - begun >= quality_after.WEEK and quality_after.calm(days, alarm):
        anew = last - quality_after.WEEK + 1
        memory = msgspec.structs.replace(memory, alarm=None, alarm_since=None, anew=anew)
        return judged(memory, last, policy)
    if now is not None and now.dropped and (alarm is None or now.log_evidence > alarm.log_evidence):
        memory = msgspec.structs.replace(memory, alarm=now, alarm_since=begun)
    return memory, memory.alarm or now
