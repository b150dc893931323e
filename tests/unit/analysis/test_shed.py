"""Shed answers: compared where the candidate's pods had no more to do than stable's, and only there."""

from __future__ import annotations

import math

import msgspec
import pytest
from tests.unit.analysis import exported

from seatrial.analysis import counters, fold, slots, verdict
from seatrial.analysis import policy as policies
from seatrial.analysis.judgement import Outcome, Reason

POLICY = policies.Policy(dispersion=1.1, spread=0.0)
Arm = counters.Arm


def arm(*pods: tuple[int, int | None]) -> slots.ArmCounts:
    """Pods of (answered, shed)."""
    return slots.total(
        tuple(slots.PodCounts(requests=own, shed=shed, name=f"{k}") for k, (own, shed) in enumerate(pods))
    )


def judge(stable: slots.ArmCounts, candidate: slots.ArmCounts, *, times: int = 9):
    return verdict.judge([slots.Slot(seconds=5, stable=stable, candidate=candidate)] * times, POLICY)


STABLE = arm((100, 2), (100, 2))


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        pytest.param(arm((80, 20)), Reason.SHED_REGRESSED, id="a fifth of no more requests"),
        pytest.param(arm((0, 90)), Reason.SHED_REGRESSED, id="every one"),
        pytest.param(arm((98, 2)), Reason.NO_REGRESSION, id="as stable does"),
        pytest.param(arm((80, 40)), Reason.NO_REGRESSION, id="asked for more than stable's pods"),
        pytest.param(arm((80, None)), Reason.NO_REGRESSION, id="not known"),
    ],
)
def test_a_candidate_fails_for_what_it_sheds_of_no_more_than_stable_is_asked(candidate, reason):
    judged = judge(STABLE, candidate)
    assert judged.reason == reason
    assert (judged.outcome is Outcome.FAIL) is (reason is Reason.SHED_REGRESSED)


def test_shares_are_of_what_was_asked_and_the_bound_is_a_hundredth_of_the_rate():
    [shed] = [one for one in judge(STABLE, arm((80, 20)), times=1).metrics if one.name == "shed"]
    assert (shed.candidate.events, shed.candidate.requests) == (20, 100)
    assert (shed.stable.events, shed.stable.requests) == (4, 204)
    assert shed.bound == pytest.approx(1 / (POLICY.false_rollback_rate * 0.01))


@pytest.mark.parametrize("counts", [(100, 0), (100, None)], ids=["nobody sheds", "not known"])
def test_nothing_is_said_of_it_before_anybody_sheds(counts):
    assert "shed" not in [one.name for one in judge(arm(counts), arm(counts)).metrics]


def test_all_parts_of_the_rate_fit_under_it():
    """By b**-1.1 for each bound b, at the highest rate that is allowed."""
    alpha = policies.MOST_FALSE_ROLLBACKS
    parts = {one.name: 1 / one.bound for one in _all_tests(alpha)}
    assert {"errors", "latency", "rejections", "degraded", "shed", "errorsMaximum", "latencyMaximum"} == parts.keys()
    assert math.fsum(part**1.1 for part in parts.values()) <= 0.9 * alpha  # a tenth is the soak's


def _all_tests(alpha: float):
    busy = slots.ArmCounts(requests=100, errors=1, rejected=1, degraded=1, shed=1, slower={"0.1": 1})
    slot = slots.Slot(seconds=5, stable=busy, candidate=busy)
    return verdict.judge([slot], msgspec.structs.replace(POLICY, false_rollback_rate=alpha)).metrics


def series(of: Arm, pod: str, outcome: str, *values: float) -> counters.Series:
    samples = [(float(5 * place), value) for place, value in enumerate(values)]
    return counters.Series(arm=of, pod=pod, counter=counters.Counter.REQUESTS, label=outcome, samples=samples)


def read(*given: counters.Series) -> tuple[slots.Slot, ...]:
    pods = [counters.Pod(arm=Arm.STABLE, name="a"), counters.Pod(arm=Arm.CANDIDATE, name="b")]
    return counters.read(given, pods, start=10, end=20, interval=5, scrape_interval=5).slots


def test_a_pod_that_sheds_everything_is_counted():
    answers = series(Arm.STABLE, "a", "ok", 5, 15, 25, 35, 45), series(Arm.CANDIDATE, "b", "ok", 0, 0, 0, 0, 0)
    shed = series(Arm.STABLE, "a", "shed", 0, 0, 0, 0, 0), series(Arm.CANDIDATE, "b", "shed", 3, 13, 23, 33, 43)
    for slot in read(*exported.whole((*answers, *shed))):
        assert (slot.stable.requests, slot.stable.shed) == (10, 0)
        assert (slot.candidate.requests, slot.candidate.shed, slot.candidate.asked) == (0, 10, 10)


def test_a_series_that_is_not_there_is_not_known():
    [first, *_] = read(
        series(Arm.STABLE, "a", "ok", 5, 15, 25, 35, 45), series(Arm.CANDIDATE, "b", "ok", 5, 9, 12, 16, 20)
    )
    assert (first.stable.shed, first.candidate.shed) == (None, None)


def test_long_windows_keep_what_was_shed():
    slot = slots.Slot(seconds=60, stable=STABLE, candidate=arm((80, 20)))
    folded = fold.older([slot] * 120)
    assert len(folded) < 120
    assert sum(one.candidate.shed or 0 for one in folded) == 20 * 120
