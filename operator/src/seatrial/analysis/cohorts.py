"""What came back for answers, by the time of the request: counted from the pods' counters.

Pods count in a ring of cohorts (see `seatrial_cohort_rows_total`): cohort c at a moment is the newest stretch of time
whose number is c modulo 32. Each stretch begins at zero, so a fall within one is a restart of the pod. Labels go to any
pod, so those of both revisions are added up by who answered; rows are counted by the pods that answered them.

Pure but for its own state. Samples are given up once they are added, so memory follows pods and cohorts.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

COUNT = 32
SKEW = 60.0  # seconds by which a pod's clock may be behind
CLOSED = 60.0  # seconds after its end until a cohort's rows have been scraped


class Kind(enum.StrEnum):
    ROWS = "rows"  # answered with a token
    RIGHT = "right"
    WRONG = "wrong"
    EVENT = "event"
    VALUE = "value"
    SQUARED = "squared"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One counter of one cohort in one pod. `by`: the revision that answered."""

    pod: str
    kind: Kind
    by: str
    cohort: int
    event: str = ""
    target: str = ""
    samples: Sequence[tuple[float, float]] = ()


class Answers(msgspec.Struct, frozen=True):
    """Of one revision in one cohort: rows, those that turned out right or wrong, and what happened after them."""

    rows: float = 0.0
    right: float = 0.0
    wrong: float = 0.0
    events: Mapping[str, float] = {}
    value: float = 0.0
    squared: float = 0.0

    @property
    def labelled(self) -> float:
        return self.right + self.wrong


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of requests, in unix time. In a replay file, times may be left out."""

    start: float = 0.0
    end: float = 0.0
    stable: Answers = Answers()
    candidate: Answers = Answers()


def countable(value: float) -> bool:
    """No counter has any other value; such a sample is as if absent."""
    return math.isfinite(value) and value >= 0


def length(horizon: float) -> float:
    """Seconds of a cohort: as the pods have it."""
    return float(max(60, int(horizon) // 24))


class _Count:
    """A counter that may begin again."""

    __slots__ = ("at", "before", "last")

    def __init__(self) -> None:
        self.at, self.before, self.last = float("-inf"), 0.0, 0.0

    def add(self, at: float, value: float) -> None:
        if at <= self.at or not countable(value):
            return
        if value < self.last:
            self.before += self.last
        self.at, self.last = at, value

    @property
    def total(self) -> float:
        return self.before + self.last


_Key = tuple[int, str, str, Kind, str]  # number of the cohort, who answered, pod, what, event


class Book:
    """All that was seen of one pair of revisions. `seconds`: of a cohort."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.changes: list[float] = []
        self._counts: dict[_Key, dict[str, _Count]] = {}

    def changed(self, at: float) -> None:
        """The weight was another one before: the cohort of that moment is nobody's."""
        if at not in self.changes:
            self.changes.append(at)

    def add(self, series: Iterable[Series]) -> None:
        """Samples in order; those that come again change nothing."""
        newest = 0
        for one in series:
            for at, value in one.samples:
                number = self._number(one.cohort, at)
                newest = max(newest, number)
                of_targets = self._counts.setdefault((number, one.by, one.pod, one.kind, one.event), {})
                of_targets.setdefault(one.target, _Count()).add(at, value)
        for key in [key for key in self._counts if key[0] < newest - COUNT]:
            del self._counts[key]

    def cohorts(self, *, stable: str, candidate: str, since: float, until: float) -> tuple[Cohort, ...]:
        """Those that lie within the stretch and within one weight, and that are over. What isn't known is zero."""
        found, sums = [], self._sums()
        for number in sorted({key[0] for key in self._counts}):
            start, end = number * self.seconds, (number + 1) * self.seconds
            if start < since or end + CLOSED > until or any(start < change < end for change in self.changes):
                continue
            found.append(
                Cohort(
                    start=start,
                    end=end,
                    stable=_answers(sums.get((number, stable), {})),
                    candidate=_answers(sums.get((number, candidate), {})),
                )
            )
        return tuple(found)

    def _number(self, cohort: int, at: float) -> int:
        """Of the stretch that a sample is about."""
        newest = int((at - SKEW) // self.seconds)
        return newest - (newest - cohort) % COUNT

    def _sums(self) -> dict[tuple[int, str], dict[tuple[Kind, str], float]]:
        """Over all pods, by cohort and who answered."""
        sums: dict[tuple[int, str], dict[tuple[Kind, str], float]] = {}
        for (number, by, _, kind, event), of_targets in self._counts.items():
            own = sums.setdefault((number, by), {})
            total = max(count.total for count in of_targets.values())  # a pod that is scraped twice counts once
            own[kind, event] = own.get((kind, event), 0.0) + total
        return sums


def _answers(sums: Mapping[tuple[Kind, str], float]) -> Answers:
    return Answers(
        rows=sums.get((Kind.ROWS, ""), 0.0),
        right=sums.get((Kind.RIGHT, ""), 0.0),
        wrong=sums.get((Kind.WRONG, ""), 0.0),
        events={event: count for (kind, event), count in sums.items() if kind is Kind.EVENT},
        value=sums.get((Kind.VALUE, ""), 0.0),
        squared=sums.get((Kind.SQUARED, ""), 0.0),
    )
