"""After promotion nothing runs beside the new version: is it too bad in itself, or much worse than the old record?

Two tests for errors and latency (at the threshold), and the second one alone for rejections and degraded answers:
- the absolute maximum, as during the canary;
- more than `SOAK_MARGIN` times the old version's rate. The old rate is not known, only its record; an upper limit of it
  (Chernoff) stands in, and whoever exceeds `SOAK_MARGIN` times that limit exceeds the true rate as well.

What it guarantees: a new version that stays under every maximum and under `SOAK_MARGIN` times the old version's true
rates is rolled back in at most a tenth of alpha (each kind's share split evenly over guard, limit, and comparison),
however often one looks, if circumstances are those of the record. They may not be: an outage in the soak that would
have hit the old version too can't be told apart without a concurrent arm. Hence a margin of two, not the canary's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from seatrial.analysis import course, dispersion, evidence, judgement, table, verdict
from seatrial.analysis import policy as policies
from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats
from seatrial.analysis.judgement import Counts, Judgement, MetricEvidence, Outcome, Reason

SOAK_MARGIN = 2.0
SOAK_PART = 0.1  # of alpha
TESTS_OF_A_KIND = 3  # guard, upper limit of the old rate, comparison


@dataclasses.dataclass(frozen=True)
class _Test:
    """One question about one kind of event; `most` is the share it asks about."""

    name: str
    reason: Reason
    column: int
    most: float
    bound: float
    record: Counts
    log_evidence: Floats

    @property
    def breach(self) -> int | None:
        hits = np.flatnonzero(self.log_evidence >= math.log(self.bound))
        return int(hits[0]) if len(hits) else None

    @property
    def suspected(self) -> bool:
        """On the way to the bound after the last slot."""
        return bool(self.log_evidence[-1] >= math.log(self.bound) / 2)


def judge_alone(
    slots: Sequence[slots_.Slot],
    policy: policies.Policy,
    *,
    reference: Sequence[slots_.Slot] = (),
    blind: str = "",
    unseen: Mapping[str, str] = {},
) -> Judgement:
    """The judgement of a version that nothing runs beside, at the last slot or at the one at which it became Fail.

    For the soak after a promotion, and for a first install, which has no record to be compared with.

    Args:
        slots: all complete slots since promotion, the new version on the `candidate` side; `stable` is not read.
        policy: what is tolerated.
        reference: the old version's slots up to promotion, on the `stable` side; without them only maxima are judged.
        blind: why its pods aren't seen well enough now, from `counters.read`.
        unseen: by metric, why it can't be told now, from the same.

    Returns:
        Fail or Pass; Inconclusive before the first request and while something is suspected, NoData without any slot,
        while blind, and while a metric is unseen.
    """
    if not slots:
        return judgement.no_data(blind or "no complete time slot has been measured since promotion")
    rows = table.build([msgspec.structs.replace(slot, stable=slot.candidate) for slot in slots], reference)
    phi = dispersion.phi(rows, policy.dispersion)[0]  # of the record alone: what comes after is on trial
    tests = _tests(rows, policy, phi, _record(reference, rows.edges))
    breaches = [(test.breach, place) for place, test in enumerate(tests) if test.breach is not None]
    hidden = _hidden(rows, policy) | dict(unseen)
    if breaches:
        at, place = min(breaches)
        outcome, reason, message = Outcome.FAIL, tests[place].reason, ""
    else:
        at = len(slots) - 1
        outcome, reason, message = _without_breach(rows, tests, blind=blind, hidden=hidden)
    return Judgement(
        outcome=outcome,
        reason=reason,
        message=message,
        metrics=tuple(_metric(rows, test, at, phi) for test in tests),
        slot=at,
        seconds=float(rows.seconds[: at + 1].sum()),
        breach_slot=at if breaches else None,
    )


def _hidden(rows: table.Table, policy: policies.Policy) -> dict[str, str]:
    """By metric, why it has not been judged up to the last slot."""
    now = {metric: bool(after[-1]) for metric, after in course.unseen(rows, policy.latency.threshold).items()}
    return {metric: verdict.PARTLY.format(metric) for metric, missing in now.items() if missing}


def _without_breach(
    rows: table.Table, tests: Sequence[_Test], *, blind: str, hidden: Mapping[str, str]
) -> tuple[Outcome, Reason, str]:
    if blind or hidden:
        return Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE, blind or " | ".join(hidden.values())
    if not rows.requests_candidate.sum():
        return Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC, ""
    if any(test.suspected for test in tests):
        return Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED, ""
    return Outcome.PASS, Reason.NO_REGRESSION, ""


def highest_rate(record: Counts, *, error: float, dispersion: float) -> float:
    """Upper limit of the event share behind a record, wrong with probability at most `error` (Chernoff, tempered)."""
    allowed = dispersion * math.log(1 / error)
    low, high = record.share, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _divergence(record, middle) < allowed else (low, middle)
    return high


def _divergence(record: Counts, share: float) -> float:
    """log likelihood of the record at its own share minus that at `share`."""
    hits, misses = record.events, record.requests - record.events
    at_hits = hits * math.log(record.share / share) if hits else 0.0
    at_misses = misses * math.log((1 - record.share) / (1 - share)) if misses and share < 1 else 0.0
    return at_hits + at_misses if share < 1 or not misses else math.inf


def _tests(rows: table.Table, policy: policies.Policy, phi: Floats, record: list[Counts]) -> list[_Test]:
    slow = course.guard_edge(rows.edges, policy.latency.threshold)
    kinds = [
        ("errors", table.ERRORS, policy.errors.max, Reason.ERRORS_ABOVE_MAXIMUM, Reason.ERRORS_REGRESSED),
        ("latency", slow, policy.latency.max, Reason.LATENCY_ABOVE_MAXIMUM, Reason.LATENCY_REGRESSED),
        ("rejections", table.REJECTIONS, course.OFF, None, Reason.REJECTIONS_REGRESSED),
        ("degraded", table.DEGRADED, course.OFF, None, Reason.DEGRADED_REGRESSED),
    ]
    tests: list[_Test] = []
    for name, column, most, above, regressed in kinds:
        if column is None:
            continue
        alpha = policy.false_rollback_rate * SOAK_PART * course.shares(policy)[name] / TESTS_OF_A_KIND
        old = record[column]
        if above is not None and most < course.OFF:
            tests.append(_test(f"{name}Maximum", above, rows, column, most=most, alpha=alpha, old=old, phi=phi))
        known = SOAK_MARGIN * highest_rate(old, error=alpha, dispersion=float(phi[column])) if old.requests else 1.0
        if known < course.OFF:
            tests.append(_test(f"{name}Record", regressed, rows, column, most=known, alpha=alpha, old=old, phi=phi))
    return tests


def _test(
    name: str, reason: Reason, rows: table.Table, column: int, *, most: float, alpha: float, old: Counts, phi: Floats
) -> _Test:
    requests = rows.requests_candidate * rows.known[:, column]
    course_ = evidence.absolute(rows.events_candidate[:, column], requests, most=most, dispersion=float(phi[column]))
    return _Test(name=name, reason=reason, column=column, most=most, bound=1 / alpha, record=old, log_evidence=course_)


def _record(reference: Sequence[slots_.Slot], edges: tuple[str, ...]) -> list[Counts]:
    """The old version's requests and events, column by column; slots that lack an edge do not count for it."""
    arms = [slot.stable for slot in reference]
    requests = sum(arm.requests for arm in arms)
    first = [
        sum(arm.errors for arm in arms),
        sum(arm.rejected for arm in arms),
        sum(arm.degraded for arm in arms),
        sum(arm.shed or 0 for arm in arms),
    ]
    slower = [
        Counts(
            requests=sum(arm.requests for arm in arms if edge in arm.slower),
            events=sum(arm.slower.get(edge, 0) for arm in arms),
        )
        for edge in edges
    ]
    return [*(Counts(requests=requests, events=events) for events in first), *slower]


def _metric(rows: table.Table, test: _Test, at: int, phi: Floats) -> MetricEvidence:
    events, requests = rows.events_candidate[: at + 1, test.column], rows.requests_candidate[: at + 1]
    low, high = evidence.share_limits(events, requests, dispersion=float(phi[test.column]))
    candidate = Counts(requests=int(requests.sum()), events=int(events.sum()))
    failed = test.breach is not None and test.breach <= at
    return MetricEvidence(
        name=test.name,
        stable=test.record,
        candidate=candidate,
        ratio=candidate.share / test.most if test.most else None,
        low=low / test.most if low and test.most else None,
        high=high / test.most if math.isfinite(high) and test.most else None,
        log_evidence=float(test.log_evidence[at]),
        bound=test.bound,
        margin=test.most,
        dispersion=float(phi[test.column]),
        outcome=Outcome.FAIL if failed else (Outcome.PASS if candidate.requests else Outcome.INCONCLUSIVE),
        edge=rows.edges[test.column - table.FIRST_EDGE] if test.column >= table.FIRST_EDGE else None,
    )
