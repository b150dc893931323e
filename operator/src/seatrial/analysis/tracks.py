"""From a pod's snapshots to what it counted between two moments, and which metrics could be told from them.

Increments run between consecutive snapshots and belong to the stretch in which the later one lies. A counter that falls
was reset and counts from zero. A pod counts from its first snapshot on: what it had answered before is lost (at most
one scrape's time, and Kubernetes' word on when the pod was born would be gone with the pod, which must not change what
has been counted).

The server exports every series at zero from the start. So a series that a pod lacks was dropped on the way, and the
metric that needs it is unseen, not zero.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats
from seatrial.analysis.samples import COUNTED, Arm, Counter, Key
from seatrial.analysis.scrapes import Scrapes

WARM_UP = 5.0  # seconds of a pod's first traffic that are dropped
HOPELESS = 5  # failures without a single good answer: that is no warming up, and waiting would only serve more of them
TOTAL: Key = (Counter.LATENCY, "+Inf")
SHED = "shed"
EVENTS = {"errors": "error", "rejections": "rejected", "degraded": "degraded"}

Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Track:
    """Running totals of one pod at its snapshots."""

    arm: Arm
    pod: str
    scrapes: Scrapes
    totals: Floats  # by `scrapes.keys` and snapshot
    born: dict[Key, float]  # first snapshot that has the series

    def last(self, moment: float) -> float:
        """Time of the latest snapshot up to then; minus infinity without one."""
        place = int(np.searchsorted(self.scrapes.times, moment, side="right"))
        return float(self.scrapes.times[place - 1]) if place else -math.inf

    def between(self, bounds: Sequence[float]) -> list[slots_.PodCounts]:
        """What the pod itself answered between each two neighbouring bounds."""
        counts = self.grown(bounds)
        nothing = np.zeros(len(bounds) - 1, dtype=np.int64)
        outcomes = {outcome: counts.get((Counter.REQUESTS, outcome), nothing) for outcome in COUNTED}
        everything = counts.get(TOTAL, nothing)
        answered = np.sum(list(outcomes.values()), axis=0)
        if any((Counter.REQUESTS, outcome) not in counts for outcome in COUNTED):
            answered = np.maximum(answered, everything)  # the histogram has the requests of every outcome
        buckets = self._buckets(counts, everything)
        edges = self._edges(bounds)
        shed = counts.get((Counter.REQUESTS, SHED))
        rows = (answered, outcomes["error"], outcomes["rejected"], outcomes["degraded"])
        return [
            slots_.PodCounts(
                requests=requests,
                errors=errors,
                rejected=rejected,
                degraded=degraded,
                shed=None if shed is None else int(shed[k]),
                slower={edge: buckets[edge][k] for edge in edges[k]},
                name=self.pod,
            )
            for k, (requests, errors, rejected, degraded) in enumerate(
                zip(*(row.tolist() for row in rows), strict=True)
            )
        ]

    def grown(self, bounds: Sequence[float]) -> dict[Key, Counts]:
        """What each counter grew by between each two neighbouring bounds."""
        places = np.searchsorted(self.scrapes.times, bounds, side="right")
        upto = np.rint(np.hstack([np.zeros((len(self.totals), 1)), self.totals]))[:, places].astype(np.int64)
        grown: Counts = upto[:, 1:] - upto[:, :-1]
        return dict(zip(self.scrapes.keys, grown, strict=True))

    def missing(self, moment: float, everywhere: frozenset[str]) -> dict[str, tuple[Key, ...]]:
        """Series that had not been seen by then, by the metric that can't be told without them.

        Args:
            everywhere: outcomes that some pod has. Without the histogram's total, one that this pod alone lacks leaves
                unknown how many requests there were: nothing can be told then.
        """
        absent = [
            (Counter.REQUESTS, one) for one in COUNTED if self.born.get((Counter.REQUESTS, one), math.inf) > moment
        ]
        found: dict[str, tuple[Key, ...]] = {
            metric: ((Counter.REQUESTS, outcome),)
            for metric, outcome in EVENTS.items()
            if (Counter.REQUESTS, outcome) in absent
        }
        total = self.born.get(TOTAL, math.inf) <= moment
        finite = any(key[0] is Counter.LATENCY and key != TOTAL and at <= moment for key, at in self.born.items())
        if not total or not finite:
            found["latency"] = (*(() if total else (TOTAL,)), *(() if finite else ((Counter.LATENCY, ""),)))
        uncounted = tuple(key for key in absent if key[1] in everywhere or key[1] == "ok")
        if uncounted and not total:
            found = {metric: found.get(metric, uncounted) for metric in (*EVENTS, "latency")}
        return found

    def _buckets(self, counts: dict[Key, Counts], everything: Counts) -> dict[str, list[int]]:
        """By edge, requests that took longer."""
        return {
            label: np.maximum(0, everything - own).tolist()
            for (counter, label), own in counts.items()
            if counter is Counter.LATENCY and label != TOTAL[1]
        }

    def _edges(self, bounds: Sequence[float]) -> list[list[str]]:
        """Edges that can be told in each stretch: seen from its beginning on, or for as long as the total."""
        total = self.born.get(TOTAL, math.inf)
        if math.isinf(total):
            return [[] for _ in bounds[1:]]
        own = sorted(
            (label for (counter, label) in self.born if counter is Counter.LATENCY and label != TOTAL[1]), key=float
        )
        since = {edge: self.born[Counter.LATENCY, edge] for edge in own}
        late = {edge for edge in own if since[edge] > total}
        whole = [edge for edge in own if edge not in late]
        if not late:
            return [whole] * (len(bounds) - 1)
        return [[edge for edge in own if edge not in late or since[edge] <= bound] for bound in bounds[:-1]]


def of(arm: Arm, pod: str, scrapes: Scrapes) -> Track:
    """Increments of one pod."""
    steps = _increments(scrapes.values)
    own = np.array([not counter.about_candidate for counter, _ in scrapes.keys], dtype=bool)
    steps[np.ix_(own, _warming(scrapes))] = 0
    first = [int(np.argmax(~np.isnan(row))) for row in scrapes.values] if len(scrapes.times) else []
    return Track(
        arm=arm,
        pod=pod,
        scrapes=scrapes,
        totals=np.cumsum(steps, axis=1),
        born={key: float(scrapes.times[place]) for key, place in zip(scrapes.keys, first, strict=False)},
    )


def _increments(values: Floats) -> Floats:
    """What each series grew by at each snapshot. A restart resets every series of the pod's process at once."""
    previous = np.hstack([np.full((len(values), 1), np.nan), values[:, :-1]]) if values.size else values
    with np.errstate(invalid="ignore"):
        restarted = (values < previous).any(axis=0)
    steps = np.where(restarted, values, values - previous)
    return np.where(np.isnan(previous) | np.isnan(values), 0.0, steps)


def _warming(scrapes: Scrapes) -> Bools:
    """Snapshots to drop: within 5 s after the last one at which the pod had not answered anything yet.

    Not so those up to which it has done nothing but fail. That is decided by each snapshot for itself: what follows
    never changes what was counted.
    """

    def answers(*outcomes: str) -> Floats:
        asked = [counter is Counter.REQUESTS and outcome in outcomes for counter, outcome in scrapes.keys]
        total: Floats = np.nan_to_num(scrapes.values[asked]).sum(axis=0)
        return total

    busy = np.flatnonzero(answers(*COUNTED, "shed") > 0)
    idle = int(busy[0]) if len(busy) else 0  # snapshots before the first answer
    if idle == 0:
        return np.zeros(len(scrapes.times), dtype=bool)
    cold: Bools = scrapes.times <= scrapes.times[idle - 1] + WARM_UP
    hopeless: Bools = (answers("error") >= HOPELESS) & (answers("ok", "degraded") == 0)
    return cold & ~hopeless
