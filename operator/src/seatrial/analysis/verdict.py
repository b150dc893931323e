"""May the candidate stay? The decision over all slots since the canary began.

Looks don't count against us. Evidence at a slot's end uses only what was seen up to that slot, dispersion and the
spread between pods only what was seen before it; so a look now finds every earlier slot's evidence exactly as a look
then would have found it. The verdict is Fail from the first slot at which any test reached its bound, for good, and its
numbers are those of that slot: `judge(slots[:k])` failing implies `judge(slots)` being the same judgement.

Alpha (`falseRollbackRate`) is for the whole rollout. errors and latency spend 40 % each, rejections and degraded 10 %
each, shed 1 %: bound = 1 / (alpha * share). Where quality or outcomes are judged as well, these are 30, 30, 8, 8 and 1
%, quality has 14 % and all outcomes together 10 % (`quality`). On top, the absolute guards of errors and latency have a
quarter of their metric's share each, the soak a tenth of alpha. It fits, because measured dispersion is at least 1.1,
and evidence tempered by 1.1 reaches b with probability b**-1.1 at most: for alpha = 1 % that is 0.565 alpha for the
comparisons, 0.10 for the guards, at most 0.1 for the soak; for alpha = 20 %, the highest allowed, 0.763, 0.135 and 0.1.
(With `dispersion: 1` given by hand the sum is up to 1.3 alpha.) That holds for one window: who judges each step, or
what follows blind time, anew divides alpha (`policy.of`). Disagreement has a tenth of its own: it rolls nothing back.

Between no evidence and enough of it lies suspicion: the candidate keeps its weight and gets no more
(RegressionSuspected) until further requests clear it or convict it. Else a step that ends early lets failing versions
through: two steps of 10 s promoted one in six that failed a fifth of their requests.

Missing data is nobody's fault and nobody's merit. Evidence is valid at any time, so what there is is judged first; a
verdict that was reached stands, whatever can't be seen now. Else a metric that can't be told, or an arm that isn't
seen, is NoData: never Pass.

A candidate above an absolute maximum isn't to blame while stable times the margin in force is above it too: hold
(StableAlsoBreaching), unless it is proven worse than stable. If it is proven better, going forward is allowed. Where
stable itself is above the maximum, the suspicion is enough to hold: else short steps go on through an outage of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from seatrial.analysis import course, disagreement, evidence, judgement, table
from seatrial.analysis import policy as policies
from seatrial.analysis import slots as slots_
from seatrial.analysis.judgement import Judgement, MetricEvidence, Outcome, Reason

PARTLY = "{0} can't be judged: series were missing in this slot, or in too many of this window"
REASONS = {
    "errors": Reason.ERRORS_REGRESSED,
    "latency": Reason.LATENCY_REGRESSED,
    "rejections": Reason.REJECTIONS_REGRESSED,
    "degraded": Reason.DEGRADED_REGRESSED,
    "shed": Reason.SHED_REGRESSED,
    "errorsMaximum": Reason.ERRORS_ABOVE_MAXIMUM,
    "latencyMaximum": Reason.LATENCY_ABOVE_MAXIMUM,
}


def judge(
    slots: Sequence[slots_.Slot],
    policy: policies.Policy,
    *,
    history: Sequence[slots_.Slot] = (),
    min_requests: int = 0,
    step_from: int = 0,
    blind: str = "",
    unseen: Mapping[str, str] = {},
) -> Judgement:
    """The judgement at the end of the last slot, or at the slot at which it became Fail.

    Args:
        slots: all complete slots since the canary's first step.
        policy: what is tolerated.
        history: stable's slots before the canary, up to an hour (their candidate side is not read); for dispersion.
        min_requests: candidate requests needed for Pass.
        step_from: index of the first slot of the current step; only requests from there on count for `min_requests`.
        blind: why the arms aren't seen well enough now, from `counters.read`.
        unseen: by metric, why it can't be told now, from the same.

    Returns:
        Fail, Pass or Inconclusive; NoData without any slot, while blind, and while a metric is unseen.
    """
    if not slots:
        return judgement.no_data(blind or "no complete time slot has been measured yet")
    rows = course.run(table.build(slots, history), policy)
    breach = first_breach(rows)
    at = len(slots) - 1 if breach is None else breach[0]
    return _Reader(rows, policy, min_requests=min_requests, step_from=step_from, blind=blind, unseen=unseen).at(at)


def judge_each(
    slots: Sequence[slots_.Slot],
    policy: policies.Policy,
    *,
    history: Sequence[slots_.Slot] = (),
    min_requests: int = 0,
) -> Iterator[Judgement]:
    """The course of a canary: a judgement at each slot's end, for replay.

    Outcome, reason and breach_slot are those `judge` gives for the slots so far; the numbers go on after a Fail.
    """
    if slots:
        reader = _Reader(course.run(table.build(slots, history), policy), policy, min_requests=min_requests)
        for at in range(len(slots)):
            yield reader.at(at)


def first_breach(rows: course.Course) -> tuple[int, course.Test] | None:
    """Slot and test of the first breach; of several in one slot, the first in the order of `REASONS`."""
    breaches = [(test.breach, place) for place, test in enumerate(rows.tests) if test.breach is not None]
    if not breaches:
        return None
    at, place = min(breaches)
    return at, rows.tests[place]


class _Reader:
    """Judgements from a course; running sums are made once."""

    def __init__(
        self,
        rows: course.Course,
        policy: policies.Policy,
        *,
        min_requests: int,
        step_from: int = 0,
        blind: str = "",
        unseen: Mapping[str, str] = {},
    ) -> None:
        self._course = rows
        self._alpha = policy.false_rollback_rate
        self._blind = blind
        self._unseen_now = unseen
        self._unseen = course.unseen(rows.table, policy.latency.threshold)
        self._breach = first_breach(rows)
        self._differing = disagreement.run(rows.table, policy)
        self._min_requests = min_requests
        sums = rows.table
        self._requests = (np.cumsum(sums.requests_stable), np.cumsum(sums.requests_candidate))
        self._counts: dict[int, tuple[evidence.Floats, evidence.Floats]] = {}
        self._events = (np.cumsum(sums.events_stable, axis=0), np.cumsum(sums.events_candidate, axis=0))
        self._seconds = np.cumsum(sums.seconds)
        self._before_step = float(sums.requests_candidate[:step_from].sum())

    def at(self, slot: int) -> Judgement:
        outcome, reason = self._decide(slot)
        tests = self._course.tests
        missing = [] if any(test.name == "latency" for test in tests) else self._without_edges(slot)
        return Judgement(
            outcome=outcome,
            reason=reason,
            message=self._why(slot) if outcome is Outcome.NO_DATA else "",
            metrics=(*(self._metric(test, slot) for test in tests), *missing, *self._disagreement(slot)),
            slot=slot,
            seconds=float(self._seconds[slot]),
            breach_slot=self._breach[0] if self._breach and outcome is Outcome.FAIL else None,
        )

    def _decide(self, slot: int) -> tuple[Outcome, Reason]:
        if self._breach and self._breach[0] <= slot:
            return Outcome.FAIL, REASONS[self._breach[1].name]
        if self._blind or self._hidden(slot):
            return Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE
        if any(self._holds(test, slot) for test in self._course.tests):
            return Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING
        stable, candidate = (float(arm[slot]) for arm in self._requests)
        if stable == 0 or candidate == 0 or candidate - self._before_step < self._min_requests:
            return Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC
        if any(test.suspected[slot] for test in self._course.tests):
            return Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED
        return Outcome.PASS, Reason.NO_REGRESSION

    def _hidden(self, slot: int) -> list[str]:
        """Metrics that have not been judged."""
        return [one for one in table.METRICS if one in self._unseen_now or self._unseen[one][slot]]

    def _why(self, slot: int) -> str:
        if self._blind:
            return self._blind
        return " | ".join(self._unseen_now.get(one, PARTLY.format(one)) for one in self._hidden(slot))

    def _without_edges(self, slot: int) -> list[MetricEvidence]:
        """Latency where no edge could be compared: asked for, and not judged."""
        if "latency" not in self._hidden(slot):
            return []
        counts = [judgement.Counts(requests=int(requests[slot]), events=0) for requests in self._requests]
        return [judgement.unseen("latency", stable=counts[0], candidate=counts[1])]

    def _disagreement(self, slot: int) -> list[MetricEvidence]:
        """How many answers differ, where that is asked for; beside the verdict, whatever it is."""
        return [] if self._differing is None else [disagreement.at(self._differing, slot)]

    def _holds(self, test: course.Test, slot: int) -> bool:
        """Above the maximum, or suspected to be, but so is stable; and not proven better than stable."""
        return bool(test.shared[slot] and self._limits(test.columns[0], slot)[1] >= 1)

    def _metric(self, test: course.Test, slot: int) -> MetricEvidence:
        place = test.strongest(slot)
        column = test.columns[place]
        stable, candidate = (
            judgement.Counts(requests=int(requests[slot]), events=int(events[slot, column]))
            for requests, events in zip(self._counted(column), self._events, strict=True)
        )
        limit, proof = float(test.limit[slot, place]), self._proof(test.name, slot)
        if _is_guard(test):
            ratio = candidate.share / limit if limit else None
            low, high = self._share_limits(test, slot)
        else:
            ratio = candidate.share / stable.share if stable.events else None
            low, high = self._limits(column, slot)
        return MetricEvidence(
            name=test.name,
            stable=stable,
            candidate=candidate,
            ratio=ratio,
            low=low or None,
            high=high if math.isfinite(high) else None,
            log_evidence=float(test.log_evidence[slot]),
            bound=test.bound,
            margin=limit,
            dispersion=float(self._course.phi[slot, column]),
            outcome=self._outcome(test, slot, candidate),
            proven=proof >= -math.log(self._alpha),
            log_proof=proof,
            edge=self._course.table.edges[column - table.FIRST_EDGE] if column >= table.FIRST_EDGE else None,
            causes=self._causes(slot) if column == table.ERRORS else {},
        )

    def _causes(self, slot: int) -> dict[str, int]:
        """Of the candidate's errors, those that stable's pods know of alone."""
        rows = self._course.table
        sums = {"unreachable": rows.unreachable_candidate, "late": rows.late_candidate}
        found = {cause: int(counts[: slot + 1].sum()) for cause, counts in sums.items()}
        return {cause: count for cause, count in found.items() if count}

    def _counted(self, column: int) -> tuple[evidence.Floats, evidence.Floats]:
        """Requests so far that the column's events are among, of stable and candidate."""
        if column not in self._counts:
            candidate, stable = self._course.table.requests_of(column)
            self._counts[column] = (np.cumsum(stable), np.cumsum(candidate))
        return self._counts[column]

    def _proof(self, name: str, slot: int) -> float:
        """Evidence up to the slot that it is no worse; it may be asked at any time, so the most of it counts."""
        no_worse = self._course.no_worse.get(name)
        return max(0.0, float(no_worse[: slot + 1].max())) if no_worse is not None else 0.0

    def _limits(self, column: int, slot: int) -> tuple[float, float]:
        """Limits of the ratio after a slot."""
        sums, upto = self._course.table, slice(slot + 1)
        return evidence.ratio_limits(
            sums.events_candidate[upto, column],
            sums.events_stable[upto, column],
            odds=sums.odds_of(slice(column, column + 1))[upto, 0],
            dispersion=self._course.phi[upto, column],
        )

    def _share_limits(self, test: course.Test, slot: int) -> tuple[float, float]:
        """Limits of the candidate's share after a slot, as multiples of the maximum."""
        column, sums, upto = test.columns[0], self._course.table, slice(slot + 1)
        low, high = evidence.share_limits(
            sums.events_candidate[upto, column],
            sums.requests_of(column)[0][upto] * sums.known[upto, column],
            dispersion=self._course.phi[upto, column],
        )
        most = max(float(test.limit[slot, 0]), evidence.LOWEST_SHARE)
        return low / most, high / most

    def _outcome(self, test: course.Test, slot: int, candidate: judgement.Counts) -> Outcome:
        if test.breach is not None and test.breach <= slot:
            return Outcome.FAIL
        if test.name.removesuffix("Maximum") in self._hidden(slot):
            return Outcome.NO_DATA
        open_ = candidate.requests == 0 or test.suspected[slot] or self._holds(test, slot)
        return Outcome.INCONCLUSIVE if open_ else Outcome.PASS


def _is_guard(test: course.Test) -> bool:
    return test.kind is course.Kind.MAXIMUM
