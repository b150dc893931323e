"""A version that serves for months, judged by its labels day by day: who is blamed without a reason, and after how many
days is a drop found?

Half of the answers get a label. Eight in a hundred are wrong, as in the holdout's 2000 rows, until something happens.
Restless worlds: weekends at which answers are wrong half as often again, and days that differ by more than chance.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from seatrial.analysis import quality_course
from seatrial.analysis.quality_after import Day

WRONG, HOLDOUT = 0.08, (2000, 160)
LABELLED = 0.5
QUIET = 28
"""Days before something happens."""
Traffic = Callable[[int, np.random.Generator], float]
"""By which factor answers of a day are wrong more often than on average."""


def even(day: int, random: np.random.Generator) -> float:
    return 1.0


def weekends(day: int, random: np.random.Generator) -> float:
    return 1.5 if day % 7 >= 5 else 0.8


def restless(day: int, random: np.random.Generator) -> float:
    return float(np.exp(0.1 * random.normal()))


TRAFFIC: tuple[Traffic, ...] = (even, weekends, restless)


@dataclasses.dataclass(frozen=True)
class World:
    """`labels` a day; from day `QUIET` on answers are wrong as often as `after`. Or: no `holdout`."""

    labels: int
    after: float = WRONG
    traffic: Traffic = even
    holdout: bool = True

    def days(self, count: int, random: np.random.Generator) -> list[Day]:
        found = []
        for number in range(count):
            share = (WRONG if number < QUIET else self.after) * self.traffic(number, random)
            labelled = int(random.binomial(round(self.labels / LABELLED), LABELLED))
            wrong = int(random.binomial(labelled, min(share, 0.95)))
            found.append(Day(round(self.labels / LABELLED), labelled, wrong))
        return found


@dataclasses.dataclass(frozen=True)
class Found:
    """Days from the change to the alarm, of those versions in which one came; alarms before it are false."""

    versions: int
    early: int
    days: tuple[int, ...]

    @property
    def share(self) -> float:
        return len(self.days) / self.versions

    @property
    def median(self) -> float:
        return float(np.median(self.days)) if self.days else math.inf


def run(world: World, *, versions: int, days: int, seed: int) -> Found:
    """So many versions, judged at the end of each day."""
    random = np.random.default_rng(seed)
    policy = quality_course.Policy(most=1.0, tolerance=0.1, rate=0.05, holdout=HOLDOUT if world.holdout else None)
    early, found = 0, []
    for _ in range(versions):
        first = _alarm(world.days(days, random), policy)
        if first is not None:
            early += first < QUIET
            found += [first - QUIET + 1] if first >= QUIET else []
    return Found(versions, early, tuple(found))


def _alarm(days: list[Day], policy: quality_course.Policy) -> int | None:
    """The day that alarms first."""
    memory = quality_course.Memory()
    for number, day in enumerate(days):
        known = quality_course.by_number(memory) | {number: day}
        memory, _ = quality_course.judged(quality_course.with_days(memory, known, until=0.0), number, policy)
        if memory.alarm is not None:
            return number
    return None
