"""From the series of one pod to its whole snapshots: one target, one instant, every counter.

A scrape reads all counters at one instant, so series of one target share their instants, and series that never share
one come from different targets: two jobs that scrape the same pod, each at its own time. Both have counted the same
requests, so one of them is taken, never their sum and never a mixture (their clocks may differ). A target that ends
before the next begins (labels changed, Prometheus was upgraded) is continued by it.

Whatever is no number, no count or no bucket's edge is left out and named; nothing here raises for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats
from seatrial.analysis.samples import Arm, Counter, Key, Series

LARGEST = 2.0**53
RECENT_GAPS = 5
STALE_SCRAPES = 3


@dataclasses.dataclass(frozen=True)
class Scrapes:
    """Whole snapshots of one pod, ascending in time; a value is NaN before its series was first seen."""

    times: Floats  # [n]
    keys: tuple[Key, ...]
    values: Floats  # [len(keys), n]
    lacking: tuple[Key, ...] = ()  # what the latest scrape did not have any more, and so isn't whole

    def gap(self, moment: float) -> float | None:
        """Seconds between scrapes as last measured by then; None with fewer than two."""
        upto = int(np.searchsorted(self.times, moment, side="right"))
        gaps = np.diff(self.times[max(0, upto - RECENT_GAPS - 1) : upto])
        return float(np.median(gaps)) if len(gaps) else None


@dataclasses.dataclass(frozen=True)
class _Line:
    """One usable series."""

    key: Key
    instants: Floats  # at which it was scraped, whatever was read
    times: Floats
    values: Floats


def of_pods(
    series: Iterable[Series], *, end: float, scrape_interval: float
) -> tuple[dict[tuple[Arm, str], Scrapes], tuple[str, ...]]:
    """(snapshots up to `end` by arm and pod, what had to be left out in words)."""
    lines: dict[tuple[Arm, str], dict[str, list[_Line]]] = {}
    ignored: dict[str, None] = {}
    for one in series:
        try:
            line = _line(one, end)
        except (TypeError, ValueError, OverflowError):
            ignored[f"{one.pod}: a series {one.counter} {one.label!r} that is not made of numbers is ignored"] = None
            continue
        lines.setdefault((one.arm, one.pod), {}).setdefault(one.target, []).append(line)
    pods = {
        whose: _best(
            [_scrapes(part) for own in targets.values() for part in _parts(own)],
            end=end,
            scrape_interval=scrape_interval,
        )
        for whose, targets in lines.items()
    }
    return dict(sorted(pods.items())), tuple(sorted(ignored))


def _line(series: Series, end: float) -> _Line:
    """Samples up to `end` that are finite, not negative, and later than the one before."""
    label = _edge(series.label) if series.counter is Counter.LATENCY else series.label
    rows = np.asarray(series.samples, dtype=np.float64).reshape(-1, 2)
    times, values = rows[rows[:, 0] <= end].T
    ordered = bool((times[1:] > times[:-1]).all())
    instants = times if ordered else np.unique(times)
    with np.errstate(invalid="ignore"):
        usable = (values >= 0) & (values <= LARGEST)
    if not usable.all():
        times, values = times[usable], values[usable]
    if not ordered:
        later = np.append(True, times[1:] > np.maximum.accumulate(times)[:-1])[: len(times)]
        times, values = times[later], values[later]
    return _Line(key=(series.counter, label), instants=instants, times=times, values=values)


def _edge(label: str) -> str:
    """One spelling of a bucket's edge.

    Raises:
        ValueError: no edge at all.
    """
    edge = float(label)
    if math.isnan(edge) or edge < 0:
        raise ValueError(label)
    return "+Inf" if math.isinf(edge) else slots_.edge_text(edge)


def _parts(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Lines in groups that share instants: each group is what one target gave."""
    same: dict[bytes, list[_Line]] = {}
    for line in lines:
        same.setdefault(line.instants.tobytes(), []).append(line)
    parts: list[tuple[set[float], list[_Line]]] = []
    for own in same.values():
        instants = set(own[0].instants.tolist())
        members = list(own)
        apart = []
        for other, theirs in parts:
            if instants.isdisjoint(other):
                apart.append((other, theirs))
            else:
                instants |= other
                members += theirs
        parts = [*apart, (instants, members)]
    return [members for _, members in parts]


def _scrapes(lines: Sequence[_Line]) -> Scrapes:
    """Instants at which every series that had appeared by then has a sample; series of one key added up."""
    known = [line for line in lines if len(line.times)]
    times = np.unique(np.concatenate([line.times for line in known])) if known else np.zeros(0)
    whole = np.ones(len(times), dtype=bool)
    values: dict[Key, Floats] = {}
    for line in known:
        row = np.full(len(times), np.nan)
        row[np.searchsorted(times, line.times)] = line.values
        whole &= ~np.isnan(row) | (times < line.times[0])
        values[line.key] = _together(line.key, values[line.key], row) if line.key in values else row
    keys = tuple(sorted(values))
    lacking = tuple(sorted({line.key for line in known if line.times[-1] < times[-1]}))
    table = np.array([values[key][whole] for key in keys]).reshape(len(keys), int(whole.sum()))
    return Scrapes(times=times[whole], keys=keys, values=table, lacking=lacking)


def _together(key: Key, one: Floats, other: Floats) -> Floats:
    """Requests come once for each transport and add up; a bucket that comes twice is the same bucket."""
    if key[0] is Counter.LATENCY:
        return np.fmax(one, other)
    return np.where(np.isnan(one), other, np.where(np.isnan(other), one, one + other))


def _best(found: Sequence[Scrapes], *, end: float, scrape_interval: float) -> Scrapes:
    """The freshest, most complete, densest and then longest known target, continued by those that don't overlap it."""

    def rank(one: Scrapes) -> tuple[bool, int, float, float]:
        if not len(one.times):
            return (False, 0, -math.inf, -math.inf)
        gap = one.gap(end) or scrape_interval
        fresh = bool(one.times[-1] >= end - STALE_SCRAPES * gap)
        return (fresh, len(one.keys), -round(gap), -float(one.times[0]))

    ranked = sorted(found, key=rank, reverse=True)
    chosen = ranked[0]
    for other in ranked[1:]:
        if len(other.times) and len(chosen.times):
            before, after = other.times[-1] < chosen.times[0], other.times[0] > chosen.times[-1]
            if before or after:
                chosen = _joined(other, chosen) if before else _joined(chosen, other)
    return chosen


def _joined(first: Scrapes, second: Scrapes) -> Scrapes:
    keys = tuple(sorted({*first.keys, *second.keys}))
    if any(key not in second.keys for key in first.keys):  # it would look as if those had stopped
        return second
    rows = []
    for key in keys:
        early = first.values[first.keys.index(key)] if key in first.keys else np.full(len(first.times), np.nan)
        rows.append(np.concatenate([early, second.values[second.keys.index(key)]]))
    times = np.concatenate([first.times, second.times])
    return Scrapes(times=times, keys=keys, values=np.array(rows), lacking=second.lacking)
