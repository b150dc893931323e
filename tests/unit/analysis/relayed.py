"""Counters of a rollout under Relay: stable's pods answer, pass on, and count; the candidate's count what they get."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from seatrial.analysis import counters, policy, verdict
from seatrial.analysis.counters import Arm, Counter, Pod, Relay, Series
from seatrial.analysis.judgement import Judgement
from seatrial.analysis.samples import GIVEN

START = 1_700_000_000.0
EVERY = 5.0
RELAY = Relay()
OWN = ("ok", "degraded", "rejected", "error", "shed")
EDGES = ("0.01", "0.1", "+Inf")
PODS = (
    Pod(arm=Arm.STABLE, name="s1"),
    Pod(arm=Arm.STABLE, name="s2"),
    Pod(arm=Arm.CANDIDATE, name="c1"),
)


@dataclasses.dataclass(frozen=True)
class Stable:
    """A pod of stable: per second what it answers itself, gives to the candidate, and copies to it."""

    name: str
    own: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"ok": 90.0})
    given: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"ok": 10.0})
    copies: Mapping[str, float] = dataclasses.field(default_factory=dict)
    rows: Mapping[str, float] = dataclasses.field(default_factory=dict)
    lost: tuple[str, ...] = ()  # counters or labels that never arrive
    until: float = 60.0

    def series(self) -> list[Series]:
        given = {f"{one}{mark}": self.given.get(f"{one}{mark}", 0.0) for one in GIVEN for mark in ("", "/covered")}
        found = [
            *_answers(Arm.STABLE, self.name, self.own, self.until),
            *_counters(Arm.STABLE, self.name, Counter.RELAYING, {"": 0.0}, self.until),
            *_counters(Arm.STABLE, self.name, Counter.RELAYED, given, self.until),
            *_counters(Arm.STABLE, self.name, Counter.COPIES, _all(GIVEN, self.copies), self.until),
            *_counters(
                Arm.STABLE, self.name, Counter.ROWS, _all(("same", "different", "failed"), self.rows), self.until
            ),
        ]
        return [one for one in found if one.counter not in self.lost and one.label not in self.lost]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A pod of the candidate: per second what it answers, as it counts itself."""

    name: str = "c1"
    own: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"ok": 20.0})
    slow: float = 0.0  # share above 0.1 s
    until: float = 60.0

    def series(self) -> list[Series]:
        return _answers(Arm.CANDIDATE, self.name, self.own, self.until, slow=self.slow)


def read(
    *pods: Stable | Candidate, relay: Relay | None = RELAY, known: Sequence[Pod] = PODS, seconds: float = 60.0
) -> counters.Reading:
    return counters.read(
        [one for pod in pods for one in pod.series()],
        known,
        start=START,
        end=START + seconds,
        interval=EVERY,
        scrape_interval=EVERY,
        relay=relay,
    )


def judge(reading: counters.Reading, **limits: float) -> Judgement:
    return verdict.judge(
        reading.slots,
        policy.Policy(**limits),
        blind=reading.blind,
        unseen=reading.unseen,  # type: ignore[arg-type]
    )


def _all(labels: Sequence[str], rates: Mapping[str, float]) -> dict[str, float]:
    return {label: rates.get(label, 0.0) for label in labels}


def _answers(arm: Arm, pod: str, rates: Mapping[str, float], until: float, *, slow: float = 0.0) -> list[Series]:
    total = sum(rate for outcome, rate in rates.items() if outcome != "shed")
    buckets = {"0.01": 0.9 * total * (1 - slow), "0.1": total * (1 - slow), "+Inf": total}
    return [
        *_counters(arm, pod, Counter.REQUESTS, _all(OWN, rates), until),
        *_counters(arm, pod, Counter.LATENCY, buckets, until),
    ]


def _counters(arm: Arm, pod: str, counter: Counter, rates: Mapping[str, float], until: float) -> list[Series]:
    times = [EVERY * k for k in range(-4, int(until / EVERY) + 1)]
    return [
        Series(
            arm=arm,
            pod=pod,
            counter=counter,
            label=label,
            samples=[(START + at, float(round(rate * (at + 1000)))) for at in times],
        )
        for label, rate in rates.items()
    ]
