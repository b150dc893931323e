"""The samples of one subject, from wherever they come, and what was counted from them so far.

Prometheus answers with stretches of time, the pods with one moment each. A pod that is read directly has one history:
Prometheus' samples before its first direct reading, the direct ones from there on. Should those end, its history is
Prometheus' alone as soon as that has something newer.
Samples are given up once they are counted for good, so memory follows the number of pods, not the window.

Pure but for its own state; not for the event loop: adding and counting take milliseconds. One thread at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial.analysis import counters
from seatrial.analysis.slots import Slot
from seatrial.prometheus import matching, pods
from seatrial.rollout import looking, tally

Counted = tuple[counters.Counter, str]

GAP = 3.5  # seconds without a direct reading that end a run of them; longer where they are rarer
PART = 0.8  # of an arm's chosen pods that must be readable, as for freshness
FORGOTTEN = 900.0  # seconds after which a series without new samples is dropped


class Ledger:
    """Samples and slots of one subject.

    Args:
        carried: slots of the same stable version from the subject before, the record where Prometheus has none.
    """

    def __init__(self, asked: looking.Question, *, carried: tuple[Slot, ...] = ()) -> None:
        length, since = asked.analysis.interval.total_seconds(), asked.window.since.timestamp()
        history = looking.HISTORY.total_seconds()
        self._series: dict[tuple[tuple[str, str], ...], matching.Raw] = {}
        self._direct: dict[str, dict[Counted, list[tuple[float, float]]]] = {}
        self._since = since
        self._sliding = asked.window.sliding
        self._tally = tally.begin(start=since, length=length)
        self._record = tally.begin(start=since - history, length=length)
        self._recorded = False
        self._fine_since = math.inf
        self._read_at = -math.inf
        self._gap = GAP
        self.history: tuple[Slot, ...] = carried
        self.foreign = 0

    @property
    def since(self) -> float:
        return self._since

    @property
    def covered(self) -> bool:
        """All slots that aren't final yet were read directly."""
        return self._fine_since <= self._tally.until

    def live(self, now: float) -> bool:
        """The pods are being read directly, enough of them to judge from."""
        return self._fine_since < math.inf and now - self._read_at <= self._gap

    def answered(self, series: Iterable[matching.Raw]) -> None:
        """Adds Prometheus' answer. Stretches overlap; what comes again replaces what was there."""
        for raw in series:
            if not raw.samples:
                continue
            key = tuple(sorted(raw.labels.items()))
            known = self._series.get(key)
            older = [] if known is None else [one for one in known.samples if one[0] < raw.samples[0][0]]
            self._series[key] = matching.Raw(labels=raw.labels, samples=[*older, *raw.samples])

    def read(self, asked: looking.Question, round_: pods.Round, *, every: float) -> None:
        """Adds one direct reading of the pods. `every`: seconds until the next one."""
        self._gap = max(GAP, 2 * every + 1)
        seen: set[str] = set()
        for exposition in round_.expositions:
            try:
                totals = pods.parsed(exposition, asked)
            except ValueError:
                continue
            if totals:
                seen.add(exposition.pod.name)
                own = self._direct.setdefault(exposition.pod.name, {})
                for counted, value in totals.items():
                    own.setdefault(counted, []).append((exposition.at, value))
        if not _enough(asked, seen):
            self._fine_since = math.inf
            return
        at = min(one.at for one in round_.expositions)
        if at - self._read_at > self._gap or self._fine_since == math.inf:
            self._fine_since = at
        self._read_at = at

    def count(self, asked: looking.Question, *, until: float, final: bool = True, fine: bool = True) -> looking.Counted:
        """Slots up to now. `final`: what is old enough is counted for good (not from an answer that may be partial)."""
        ground = self._ground(asked, until=until, fine=fine)
        if self._sliding:
            _, reading = tally.count(tally.begin(start=until, length=self._tally.length), ground, end=until)
            self._trim(until)
            return looking.Counted(slots=(), blind=reading.blind, unseen=reading.unseen)
        if not self._recorded:
            self._count_record(ground, until=until)
        after, reading = tally.count(self._tally, ground, end=max(until, self._since))
        if final:
            self._tally = after
            self._trim(self._tally.until if self._recorded else self._record.until)
        return looking.Counted(slots=reading.slots, history=self.history, blind=reading.blind, unseen=reading.unseen)

    def _count_record(self, ground: tally.Ground, *, until: float) -> None:
        """The hour before the window, of stable alone."""
        stable = [one for one in ground.series if one.arm is counters.Arm.STABLE]
        own = msgspec.structs.replace(ground, series=stable, fine_since=math.inf, relay=None)
        self._record, reading = tally.count(self._record, own, end=min(until, self._since))
        if any(slot.stable.requests for slot in reading.slots):
            self.history = reading.slots
        self._recorded = until >= self._since

    def _ground(self, asked: looking.Question, *, until: float, fine: bool) -> tally.Ground:
        matched = matching.match(self._series.values(), asked=asked)
        self.foreign = matched.foreign
        arms = {pod.name: pod.arm for pod in asked.pods}
        live = fine and self.live(until)
        newest: dict[str, float] = {}
        for one in matched.series:
            newest[one.pod] = max(newest.get(one.pod, -math.inf), one.samples[-1][0])
        direct = {
            name: own
            for name, own in self._direct.items()
            if name in arms and (live or newest.get(name, -math.inf) <= _last(own.values()))
        }
        series = [one for one in matched.series if one.pod not in direct]
        for name, own in direct.items():
            series += _joined([one for one in matched.series if one.pod == name], own, arm=arms[name], pod=name)
        recent = {name for name, own in direct.items() if _last(own.values()) >= until - self._gap}
        return tally.Ground(
            series=series,
            pods=asked.counted_pods,
            arms=asked.arms,
            scrape_interval=asked.scrape_interval.total_seconds(),
            fine_since=self._fine_since if live else math.inf,
            fine_pods=frozenset(recent),
            relay=asked.relay,
        )

    def _trim(self, until: float) -> None:
        until -= self._tally.length  # a count reads one slot more than it needs
        for key, raw in list(self._series.items()):
            if raw.samples[-1][0] < until - FORGOTTEN:
                del self._series[key]
            else:
                self._series[key] = matching.Raw(labels=raw.labels, samples=tally.kept(raw.samples, until=until))
        for name, own in list(self._direct.items()):
            if _last(own.values()) < until - FORGOTTEN:
                del self._direct[name]
                continue
            for counted, samples in own.items():
                own[counted] = list(tally.kept(samples, until=until))


def _enough(asked: looking.Question, seen: set[str]) -> bool:
    """Most of the pods that are to be read, of each arm that must be seen; stable's tell of a candidate that they give
    requests to.
    """
    wanted = pods.chosen(asked)
    for arm in asked.arms if asked.relay is None else (counters.Arm.STABLE,):
        own = [pod.name for pod in wanted if pod.arm is arm]
        if not own or sum(name in seen for name in own) < PART * len(own):
            return False
    return True


def _joined(
    scraped: Sequence[counters.Series],
    direct: Mapping[Counted, Sequence[tuple[float, float]]],
    *,
    arm: counters.Arm,
    pod: str,
) -> list[counters.Series]:
    """One series for each counter of a pod that is read directly.

    Clocks of Prometheus and ours may differ. A scraped value that is beyond the direct one at the seam would look like
    a restart of the pod, and everything would count again; it is left out.
    """
    before = _summed(scraped)
    return [
        counters.Series(
            arm=arm,
            pod=pod,
            counter=counted[0],
            label=counted[1],
            samples=[
                *(one for one in before.get(counted, ()) if one[0] < own[0][0] and one[1] <= own[0][1]),
                *own,
                *(one for one in before.get(counted, ()) if one[0] > own[-1][0] + GAP and one[1] >= own[-1][1]),
            ],
            target=pods.TARGET,
        )
        for counted, own in direct.items()
    ]


def _summed(scraped: Sequence[counters.Series]) -> dict[Counted, list[tuple[float, float]]]:
    """Of the target with most samples: series with the same label added up, where all have a sample."""
    amounts: dict[str, int] = {}
    for one in scraped:
        amounts[one.target] = amounts.get(one.target, 0) + len(one.samples)
    if not amounts:
        return {}
    chosen = max(sorted(amounts), key=lambda name: amounts[name])
    parts: dict[Counted, list[dict[float, float]]] = {}
    for one in scraped:
        if one.target == chosen:
            parts.setdefault((one.counter, one.label), []).append(dict(one.samples))
    return {
        counted: [(at, sum(one[at] for one in some)) for at in sorted(set.intersection(*map(set, some)))]
        for counted, some in parts.items()
    }


def _last(samples: Iterable[Sequence[tuple[float, float]]]) -> float:
    return max((own[-1][0] for own in samples if own), default=-math.inf)
