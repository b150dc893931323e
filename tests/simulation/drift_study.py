"""Who alarms, and when: our tests, and the rules people use today, over the same simulated months.

PSI and KS look at each day's counts at midnight, as they are used: above 0.2, above 0.1, p below 5 %. KS is done on the
edges of the deciles, with the reference's rows in its p-value, which is kind to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats
from tests.simulation import drift_traffic
from tests.simulation.drift_traffic import BINS, FIRST, Traffic

from seatrial.api.values import Ratio
from seatrial.drift import bound, columns, course, policy, tests, windows
from seatrial.drift.season import Season

OURS, PEERS = "seatrial", ("PSI > .2", "PSI > .1", "KS p < .05")
TESTS = 20 * tests.PER_COLUMN
CHANGE = 10 * 24 + 7
"""Hour of the change: on the eleventh day at seven in the morning."""
VOLUMES = (1e3, 1e4, 1e5, 1e6)


@dataclasses.dataclass(frozen=True)
class Case:
    """Traffic of some volume; what is tolerated; rows a day up to which nothing is promised."""

    name: str
    traffic: Callable[[float], Traffic]
    season: Season = Season.AUTO
    tolerance: float = 0.1


@dataclasses.dataclass(frozen=True)
class Alarms:
    """By rule, the hour of each column's first alarm (NaN: none).

    `true`: where ours was right, because the window's expected shares were beyond what is tolerated.
    """

    first: Mapping[str, np.ndarray]
    true: np.ndarray
    features: int

    def deployments(self, rule: str) -> float:
        """Share of deployments with an alarm of any column."""
        return self._share(~np.isnan(self.first[rule]))

    def false(self) -> float:
        """Share of deployments in which we alarmed though nothing was beyond what is tolerated."""
        return self._share(~np.isnan(self.first[OURS]) & ~self.true)

    def _share(self, columns: np.ndarray) -> float:
        return float(columns.reshape(-1, self.features).any(axis=1).mean())

    def early(self, rule: str) -> float:
        """Share of columns that alarmed before the change."""
        return float((self.first[rule] < CHANGE).mean())

    def found(self, rule: str) -> float:
        """Share of the columns without an early alarm that alarmed after the change."""
        late = self.first[rule][~(self.first[rule] < CHANGE)]
        return float((~np.isnan(late)).mean()) if len(late) else 0.0

    def days(self, rule: str) -> float:
        """Median days from the change, over columns without an early alarm; infinite when most never alarm."""
        late = self.first[rule][~(self.first[rule] < CHANGE)]
        return float(np.median(np.where(np.isnan(late), np.inf, late - CHANGE + 1)) / 24) if len(late) else np.nan


def run(case: Case, per_day: float, *, deployments: int, features: int, days: int, seed: int) -> Alarms:
    """Months of some deployments."""
    traffic = case.traffic(per_day)
    column = drift_traffic.column(traffic)
    asked = tests.of(column, policy.Policy(tolerance=Ratio(case.tolerance)))
    count = deployments * features
    enough = np.log(bound.of(0.05, TESTS))
    trace = course.begin(0, (count, drift_traffic.PLACES))
    expected = windows.begin(0, (count, drift_traffic.PLACES))
    first, true = {rule: np.full(count, np.nan) for rule in (OURS, *PEERS)}, np.zeros(count, np.bool_)
    counted = drift_traffic.hours(traffic, deployments=deployments, features=features, days=days, seed=seed)
    for now, hour in enumerate(counted):
        trace = course.after(trace, now, hour.pods, tests=asked, seen=True)
        expected = windows.after(expected, now, hour.expected, seen=True)
        for look in course.looks(trace, asked, of=case.season):
            new = (look.log_evidence >= enough) & np.isnan(first[OURS])
            if new.any():
                true |= new & _beyond(look, expected, case.season)
            _mark(first[OURS], new, now)
        if trace.past.ends_day:
            for rule, hit in zip(PEERS, _peers(trace.past.days[-1], column), strict=True):
                _mark(first[rule], hit, now)
    return Alarms(first, true, features)


def _beyond(look: course.Look, expected: windows.Past, season: Season) -> np.ndarray:
    """Whether the expected shares of the same window were beyond what is tolerated."""
    (counts,) = (one.counts for one in windows.of(expected, season) if one.hours == look.window.hours)
    inside = counts @ look.test.pick
    shares = (inside / inside.sum(axis=-1, keepdims=True)) @ look.test.chosen.T
    return (shares > look.most + look.room[..., None]).any(axis=-1)


def _mark(first: np.ndarray, hit: np.ndarray, now: int) -> None:
    first[hit & np.isnan(first)] = now


def _peers(day: np.ndarray, column: columns.Column) -> Sequence[np.ndarray]:
    """PSI over all bins, missing ones and outside as well, empty ones as 0.01 %; KS over the deciles."""
    every = day[:, : len(column.bins)]
    current = np.maximum(every / np.maximum(every.sum(axis=1, keepdims=True), 1), 1e-4)
    expected = np.maximum(column.reference, 1e-4)
    psi = ((current - expected) * np.log(current / expected)).sum(axis=1)
    counts = day[:, FIRST : FIRST + BINS]
    size = np.maximum(counts.sum(axis=1), 1)
    share, reference = counts / size[:, None], 1 / BINS
    distance = np.abs(np.cumsum(share - reference, axis=1)).max(axis=1)
    p = stats.kstwobign.sf(np.sqrt(size * column.rows / (size + column.rows)) * distance)
    return psi > 0.2, psi > 0.1, p < 0.05


def _all_at_once(per_day: float, **more: object) -> Traffic:
    return Traffic(per_day, clumps=True, nights=True, wandering=0.1, **more)  # type: ignore[arg-type]


def _from_change(value: float, before: float = 0.0) -> Callable[[int], float]:
    return lambda hour: value if hour >= CHANGE else before


def _slowly(a_day: float) -> Callable[[int], float]:
    return lambda hour: max(0.0, (hour - CHANGE) / 24 * a_day)


QUIET = [
    Case("independent rows", lambda n: Traffic(n)),
    Case("clumps of 10 equal rows", lambda n: Traffic(n, clumps=True)),
    Case("day and night", lambda n: Traffic(n, nights=True)),
    Case("wandering mean", lambda n: Traffic(n, wandering=0.1)),
    Case("clumps, day and night, wandering", _all_at_once),
    Case("weekends -0.6 sd", lambda n: Traffic(n, weekends=-0.6)),
    Case("1 % missing", lambda n: Traffic(n, missing=lambda _: 0.01)),
]
"""Nothing changes in any of these."""
FEW_REFERENCE_ROWS = [
    Case(f"reference of {rows} rows", lambda n, rows=rows: Traffic(n, rows=rows)) for rows in (100, 300)
]
NO_SEASON = Case("weekends -0.6 sd, season 24h", lambda n: Traffic(n, weekends=-0.6), season=Season.DAY)

ONE_SD = Case("1 sd", lambda n: Traffic(n, shift=_from_change(1.0)))
HALF_SD = Case("0.5 sd", lambda n: Traffic(n, shift=_from_change(0.5)))
MISSING = Case("missing 1 % to 5 %", lambda n: Traffic(n, missing=_from_change(0.05, 0.01)))
CHANGES = [
    ONE_SD,
    HALF_SD,
    Case("0.25 sd: the margin itself", lambda n: Traffic(n, shift=_from_change(0.25))),
    Case("0.25 sd, tolerance 5 %", lambda n: Traffic(n, rows=20_000, shift=_from_change(0.25)), tolerance=0.05),
    Case("slowly: 0.02 sd a day", lambda n: Traffic(n, shift=_slowly(0.02))),
    Case("clumps, 1 sd", lambda n: Traffic(n, clumps=True, shift=_from_change(1.0))),
    Case("clumps, 0.5 sd", lambda n: Traffic(n, clumps=True, shift=_from_change(0.5))),
    Case("all at once, 1 sd", lambda n: _all_at_once(n, shift=_from_change(1.0))),
    Case("all at once, 0.5 sd", lambda n: _all_at_once(n, shift=_from_change(0.5))),
    Case("weekends -0.6 sd, 1 sd", lambda n: Traffic(n, weekends=-0.6, shift=_from_change(1.0))),
    Case("weekends -0.6 sd, 0.5 sd", lambda n: Traffic(n, weekends=-0.6, shift=_from_change(0.5))),
    MISSING,
    Case("missing 1 % to 50 %", lambda n: Traffic(n, missing=_from_change(0.5, 0.01))),
    Case("3 % outside of the reference", lambda n: Traffic(n, outside=_from_change(0.03))),
    Case("0.8 % outside of the reference", lambda n: Traffic(n, outside=_from_change(0.008))),
]
"""What changes, on the eleventh day at seven."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """Found within so many days, at so many rows a day, by the median column."""

    case: Case
    per_day: float
    days: float


PROMISES = [Promise(ONE_SD, 1e5, 0.5), Promise(HALF_SD, 1e5, 1.5), Promise(MISSING, 1e4, 1.0)]
