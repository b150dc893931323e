"""From raw Prometheus samples to slots: exact increments, nothing interpolated, nothing estimated.

A scrape reads a pod's counters at one instant, so a pod's samples are used snapshot by snapshot: an instant at which
any known series of the pod is missing, NaN or out of order counts as not scraped. Increments run between consecutive
snapshots and belong to the slot in which the later one lies. A counter that falls was reset and counts from zero.

Pods are scraped at different instants. Were each taken as it comes, an outage shared by all could be seen on the
candidate seconds before it is seen on stable, and a look in between would blame the candidate. So the candidate is read
only up to the oldest of the stable pods' latest snapshots: never judged on time in which stable has not been seen.

A pure function of samples: later samples never change the slots that are complete.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats

WARM_UP = 5.0  # seconds of a pod's first traffic that are dropped
STALE_SCRAPES = 3
FRESH_PART = 0.8
COUNTED = ("ok", "degraded", "rejected", "error")  # requests are all outcomes but shed


class Arm(enum.StrEnum):
    STABLE = "stable"
    CANDIDATE = "candidate"


class Counter(enum.StrEnum):
    REQUESTS = "requests"  # label: the outcome
    LATENCY = "latency"  # label: the bucket's le


class Series(msgspec.Struct, frozen=True):
    """One time series: (unix time, value) pairs, in the order they came. Several with the same label add up."""

    arm: Arm
    pod: str
    counter: Counter
    label: str
    samples: Sequence[tuple[float, float]]
    target: str = ""


class Pod(msgspec.Struct, frozen=True):
    """A pod as Kubernetes knows it. `started`: unix time of status.startTime, which never moves."""

    arm: Arm
    name: str
    ready: bool = True
    started: float | None = None


class Reading(msgspec.Struct, frozen=True):
    """Complete slots, and why they may not be judged now: `blind` is empty when both arms are seen well enough."""

    slots: tuple[slots_.Slot, ...]
    blind: str = ""


def read(
    series: Iterable[Series],
    pods: Sequence[Pod],
    *,
    start: float,
    end: float,
    interval: float,
    scrape_interval: float,
    arms: Sequence[Arm] = (Arm.STABLE, Arm.CANDIDATE),
) -> Reading:
    """Slots of `interval` seconds between two unix times; a last one that is incomplete is left out.

    Give samples from about `STALE_SCRAPES` scrapes before `start` on: the first slot needs something to count from.

    Args:
        pods: of both arms; decides about freshness, and that a pod that was born in sight counts from zero.
        arms: which must be fresh (after promotion only one is left).
    """
    stale = STALE_SCRAPES * scrape_interval
    started = {(pod.arm, pod.name): pod.started for pod in pods}
    tracks = [
        _track(arm, name, own, started=started.get((arm, name)), start=start, stale=stale)
        for (arm, name), own in sorted(_by_pod(series, end).items())
    ]
    bounds = [start + interval * k for k in range(math.floor((end - start) / interval + 1e-9) + 1)]
    stable = [track for track in tracks if track.arm is Arm.STABLE]
    candidate = [track for track in tracks if track.arm is Arm.CANDIDATE]
    seen = _seen(stable, bounds, stale=stale)
    slots = tuple(
        slots_.Slot(seconds=interval, stable=one, candidate=other)
        for one, other in zip(_arm(stable, bounds), _arm(candidate, seen), strict=True)
    )
    return Reading(slots=slots, blind=_blind(tracks, pods, arms, end=end, stale=stale))


@dataclasses.dataclass(frozen=True)
class _Track:
    """Running totals of one pod at its snapshots, by (counter, label)."""

    arm: Arm
    pod: str
    times: Floats
    totals: dict[tuple[Counter, str], Floats]

    def between(self, bounds: Sequence[float]) -> list[slots_.PodCounts]:
        """What the pod counted between each two neighbouring bounds."""
        counts = {key: self._counts(totals, bounds) for key, totals in self.totals.items()}
        nothing = [0] * (len(bounds) - 1)
        outcomes = [counts.get((Counter.REQUESTS, outcome), nothing) for outcome in COUNTED]
        everything = counts.get((Counter.LATENCY, "+Inf"), nothing)
        edges = sorted(label for counter, label in counts if counter is Counter.LATENCY and label != "+Inf")
        buckets = [counts[(Counter.LATENCY, edge)] for edge in edges]
        return [
            slots_.PodCounts(
                requests=ok + degraded + rejected + error,
                errors=error,
                rejected=rejected,
                degraded=degraded,
                slower={edge: max(0, everything[k] - bucket[k]) for edge, bucket in zip(edges, buckets, strict=True)},
                name=self.pod,
            )
            for k, (ok, degraded, rejected, error) in enumerate(zip(*outcomes, strict=True))
        ]

    def last(self, moment: float) -> float:
        """Time of the latest snapshot up to then; minus infinity without one."""
        place = int(np.searchsorted(self.times, moment, side="right"))
        return float(self.times[place - 1]) if place else -math.inf

    def _counts(self, totals: Floats, bounds: Sequence[float]) -> list[int]:
        upto = np.concatenate([[0.0], totals])[np.searchsorted(self.times, bounds, side="right")]
        counts: list[int] = np.diff(np.rint(upto).astype(np.int64)).tolist()
        return counts


@dataclasses.dataclass(frozen=True)
class _Samples:
    counter: Counter
    label: str
    values: dict[float, float]  # by time


def _by_pod(series: Iterable[Series], end: float) -> dict[tuple[Arm, str], list[_Samples]]:
    pods: dict[tuple[Arm, str], list[_Samples]] = {}
    for one in series:
        label = _edge(one.label) if one.counter is Counter.LATENCY else one.label
        own = _Samples(counter=one.counter, label=label, values=_usable(one.samples, end))
        pods.setdefault((one.arm, one.pod), []).append(own)
    return pods


def _edge(label: str) -> str:
    edge = float(label)
    return "+Inf" if math.isinf(edge) else slots_.edge_text(edge)


def _usable(samples: Sequence[tuple[float, float]], end: float) -> dict[float, float]:
    """Samples up to `end` that are finite, not negative, and later than the one before."""
    usable: dict[float, float] = {}
    latest = -math.inf
    for moment, value in samples:
        if latest < moment <= end and math.isfinite(value) and value >= 0:
            usable[moment] = value
            latest = moment
    return usable


def _track(
    arm: Arm, pod: str, series: Sequence[_Samples], *, started: float | None, start: float, stale: float
) -> _Track:
    known = [one for one in series if one.values]
    times = np.array(_snapshots(known))
    values = np.array([[one.values.get(moment, math.nan) for moment in times] for one in known])
    values = values.reshape(len(known), len(times))
    from_birth = started is not None and bool(len(times)) and (started >= start or times[0] - started <= stale)
    steps = _increments(values, from_zero=from_birth)
    answered = np.nan_to_num(values[[one.counter is Counter.REQUESTS for one in known]]).sum(axis=0)
    steps[:, : _warm(times, answered)] = 0
    totals: dict[tuple[Counter, str], Floats] = {}
    for one, row in zip(known, steps, strict=True):
        key = (one.counter, one.label)
        totals[key] = totals.get(key, np.zeros(len(times))) + np.cumsum(row)
    return _Track(arm=arm, pod=pod, times=times, totals=totals)


def _snapshots(series: Sequence[_Samples]) -> list[float]:
    """Instants at which every series that had appeared by then has a sample."""
    born = [(min(one.values), one.values) for one in series]
    moments = sorted({moment for one in series for moment in one.values})
    return [moment for moment in moments if all(moment in values for first, values in born if first <= moment)]


def _increments(values: Floats, *, from_zero: bool) -> Floats:
    """What each series grew by at each snapshot. A restart resets every series of the pod's process at once.

    A series' first value counts only if the pod is seen from its birth (the server exports every series at zero from
    the start), else it is where counting begins.
    """
    known = ~np.isnan(values)
    previous = np.hstack([np.full((len(values), 1), np.nan), values[:, :-1]])
    restarted = (values < previous).any(axis=0)
    first = known & np.isnan(previous)
    steps = np.where(restarted, values, values - previous)
    steps = np.where(first, values if from_zero else 0.0, steps)
    return np.where(known, steps, 0.0)


def _warm(times: Floats, answered: Floats) -> int:
    """Snapshots to drop: within 5 s after the last one at which the pod had not answered anything yet."""
    busy = np.flatnonzero(answered > 0)
    idle = int(busy[0]) if len(busy) else 0  # snapshots before the first answer
    if idle == 0:
        return 0
    return int(np.searchsorted(times, times[idle - 1] + WARM_UP, side="right"))


def _seen(stable: Sequence[_Track], bounds: Sequence[float], *, stale: float) -> list[float]:
    """Up to where the candidate is read at each bound: the oldest latest snapshot of the stable pods that are fresh."""
    seen: list[float] = []
    for bound in bounds:
        latest = [track.last(bound) for track in stable]
        fresh = [moment for moment in latest if moment >= bound - stale]
        upto = min(fresh) if fresh else (-math.inf if stable else bound)
        seen.append(max(upto, seen[-1]) if seen else (upto if math.isfinite(upto) else bound))
    return seen


def _arm(tracks: Sequence[_Track], bounds: Sequence[float]) -> list[slots_.ArmCounts]:
    """Slot by slot; pods without an answer in the slot say nothing and are left out."""
    pods = [track.between(bounds) for track in tracks]
    return [slots_.total(tuple(own[k] for own in pods if own[k].requests)) for k in range(len(bounds) - 1)]


def _blind(tracks: Sequence[_Track], pods: Sequence[Pod], arms: Sequence[Arm], *, end: float, stale: float) -> str:
    """Why the arms can't be judged now, or nothing."""
    latest = {(track.arm, track.pod): track.last(end) for track in tracks}
    for arm in arms:
        ages = {pod.name: end - latest.get((arm, pod.name), -math.inf) for pod in pods if pod.arm is arm and pod.ready}
        if not ages:
            return f"{arm}: no ready pod"
        fresh = sum(1 for age in ages.values() if age < stale)
        if fresh < FRESH_PART * len(ages):
            oldest = max(ages, key=lambda name: ages[name])
            age = "missing"
            if math.isfinite(ages[oldest]):  # when, not how long ago: the same words at every look
                age = f"older than that, the last of {datetime.fromtimestamp(end - ages[oldest], UTC):%H:%M:%S} UTC"
            return (
                f"{arm}: {fresh} of {len(ages)} ready pods have samples younger than {stale:g} s; "
                f"those of {oldest} are {age}"
            )
    return ""
