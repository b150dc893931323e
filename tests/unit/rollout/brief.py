"""A judgement in brief: true counts instead of samples, two short tests instead of the whole analysis.

It decides as `seatrial.analysis` does, by evidence that adds up over a window, which is cheap enough for many thousand
histories. It knows no bursts, no spread between pods and no metric but errors.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from seatrial.analysis import judgement
from seatrial.api.status import Reason
from seatrial.rollout import looking, looks
from seatrial.rollout.looks import Outcome

Rows = Mapping[str, list[tuple[float, int, int]]]  # (unix time, requests, errors) so far, by pod

TOLERATED = 1.1  # times stable's share
RATIOS = (1.5, 3.0, 10.0)
MOST = 0.05
SHARES = (0.1, 0.3, 0.8)
BOUND = math.log(250)
SUSPICION = math.log(2)
PROOF = 400


class Counts(NamedTuple):
    """What both arms answered in one stretch of five seconds."""

    candidate: int = 0
    candidate_errors: int = 0
    stable: int = 0
    stable_errors: int = 0


def judged(asked: looking.Question, totals: Rows, *, now: datetime) -> looks.Look:
    """The look at a window that can be seen."""
    window = asked.window
    slots = _slots(asked, totals)
    answered = [moment for moment, slot in slots.items() if slot.candidate]
    sums = Counts(*(sum(column) for column in zip(*slots.values(), strict=True))) if slots else Counts()
    outcome, reason = _decided(tuple(slots.values()), alone=window.alone)
    return looks.Look(
        outcome=outcome,
        reason=reason,
        message="errors: candidate {1}/{0}, stable {3}/{2}".format(*sums),
        at=now,
        alone=window.alone,
        soak=window.soak,
        metrics=tuple(_compared(name, sums) for name in looks.PROVEN),
        observed=timedelta(seconds=5 * len(answered)),
        stable_requests=sums.stable,
        candidate_requests=sums.candidate,
        first_request_at=datetime.fromtimestamp(answered[0], UTC) if answered else None,
        breach_at=now if outcome is Outcome.FAIL else None,
    )


def blind(asked: looking.Question, outcome: Outcome, message: str, *, now: datetime) -> looks.Look:
    """The look at what can't be seen."""
    return looks.Look(
        outcome=outcome,
        reason=Reason.METRICS_UNAVAILABLE,
        message=message,
        at=now,
        alone=asked.window.alone,
        soak=asked.window.soak,
    )


def _decided(slots: tuple[Counts, ...], *, alone: bool) -> tuple[Outcome, str]:
    worse = 0.0 if alone else _worse(slots)
    breaches = _above([(one.candidate, one.candidate_errors) for one in slots]) >= BOUND
    if worse >= BOUND:
        return Outcome.FAIL, Reason.ERRORS_REGRESSED
    if breaches and not alone and _above([(one.stable, one.stable_errors) for one in slots]) > 0:
        return Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING
    if breaches:
        return Outcome.FAIL, Reason.ERRORS_ABOVE_MAXIMUM
    if not any(one.candidate for one in slots):
        return Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC
    if worse >= SUSPICION:
        return Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED
    return Outcome.PASS, "NoRegression"


def _compared(name: str, sums: Counts) -> judgement.MetricEvidence:
    """Where nothing is worse, so many requests prove it."""
    return judgement.MetricEvidence(
        name=name,
        stable=judgement.Counts(sums.stable, sums.stable_errors),
        candidate=judgement.Counts(sums.candidate, sums.candidate_errors),
        ratio=None,
        low=None,
        high=None,
        log_evidence=0.0,
        bound=BOUND,
        margin=TOLERATED,
        dispersion=1.0,
        outcome=Outcome.PASS,
        proven=sums.candidate >= PROOF,
    )


def _worse(slots: tuple[Counts, ...]) -> float:
    """Log evidence that the candidate's share of errors is more than tolerated: only the split of errors counts."""
    courses = [0.0] * len(RATIOS)
    for one in slots:
        errors = one.candidate_errors + one.stable_errors
        if errors and one.candidate and one.stable:
            odds = TOLERATED * one.candidate / one.stable
            for place, ratio in enumerate(RATIOS):
                rest = errors * math.log((1 + odds * ratio) / (1 + odds))
                courses[place] += one.candidate_errors * math.log(ratio) - rest
    return max(courses) - math.log(len(RATIOS))


def _above(slots: list[tuple[int, int]]) -> float:
    """Log evidence that more than `MOST` of (requests, errors) are errors."""
    requests, errors = sum(one for one, _ in slots), sum(one for _, one in slots)
    courses = [
        errors * math.log(share / MOST) + (requests - errors) * math.log((1 - share) / (1 - MOST)) for share in SHARES
    ]
    return max(courses) - math.log(len(SHARES))


def _slots(asked: looking.Question, totals: Rows) -> dict[float, Counts]:
    """By the time at its end, each stretch of the window; all pods are counted at the same moments."""
    since = asked.window.since.timestamp()
    found: dict[float, list[int]] = {}
    for pod in asked.pods:
        first = 0 if pod.arm is pod.arm.CANDIDATE else 2
        rows = totals.get(pod.name, [])
        place = max(0, bisect.bisect_right(rows, (since, math.inf)) - 1)
        for before, after in itertools.pairwise(rows[place:]):
            sums = found.setdefault(after[0], [0, 0, 0, 0])
            sums[first] += after[1] - before[1]
            sums[first + 1] += after[2] - before[2]
    return {moment: Counts(*sums) for moment, sums in sorted(found.items())}
