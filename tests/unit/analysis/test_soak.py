"""After promotion: maxima, and the old version's record."""

import pytest
from tests.unit.analysis import build

from seatrial.analysis import judgement, soak
from seatrial.analysis.judgement import Outcome, Reason

OLD = [build.slot(build.arm(0), build.arm(900, 4))] * 240


def judge(rows, reference=OLD):
    slots = [build.slot(build.arm(n, x), build.arm(0)) for n, x in rows]
    got = soak.judge_alone(slots, build.PLAIN, reference=reference)
    return got.outcome, got.reason


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(900, 5)] * 40, (Outcome.PASS, Reason.NO_REGRESSION), id="as the old one"),
        pytest.param([(900, 7)] * 40, (Outcome.PASS, Reason.NO_REGRESSION), id="somewhat worse is not proof alone"),
        pytest.param([(900, 20)] * 40, (Outcome.FAIL, Reason.ERRORS_REGRESSED), id="five times worse"),
        pytest.param([(10, 10)] * 3, (Outcome.FAIL, Reason.ERRORS_ABOVE_MAXIMUM), id="fails always"),
        pytest.param([(0, 0)] * 3, (Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC), id="no traffic"),
        pytest.param([], (Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE), id="no slots"),
    ],
)
def test_the_decision(rows, expected):
    assert judge(rows) == expected


def test_without_a_record_only_maxima_are_judged():
    assert judge([(900, 20)] * 40, reference=())[0] is Outcome.PASS
    assert judge([(900, 180)] * 4, reference=()) == (Outcome.FAIL, Reason.ERRORS_ABOVE_MAXIMUM)


def test_a_promoted_version_under_suspicion_has_not_passed():
    assert judge([(900, 14)] * 6) == (Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED)


def test_a_version_that_is_not_seen_has_not_passed():
    rows = [build.slot(build.arm(900, 5, unseen=("latency",)), build.arm(0))] * 4
    judged = soak.judge_alone(rows, build.PLAIN, reference=OLD, unseen={"latency": "no buckets"})
    assert (judged.outcome, judged.message) == (Outcome.NO_DATA, "no buckets")


def test_a_verdict_that_was_reached_stands_while_blind():
    rows = [build.slot(build.arm(900, 90), build.arm(0))] * 10
    assert soak.judge_alone(rows, build.PLAIN, reference=OLD, blind="nothing is fresh").outcome is Outcome.FAIL


def test_a_failed_soak_fails_whatever_comes_later():
    assert judge([(900, 90)] * 10 + [(900, 0)] * 100)[0] is Outcome.FAIL


@pytest.mark.parametrize(("requests", "events"), [(1000, 0), (1000, 5), (1000, 1000), (100_000, 500)])
def test_the_highest_rate_lies_above_the_observed_one(requests, events):
    record = judgement.Counts(requests=requests, events=events)
    assert record.share <= soak.highest_rate(record, error=0.001, dispersion=1.0) <= 1


def test_the_highest_rate_without_events_is_the_rule_of_logarithms():
    record = judgement.Counts(requests=1000, events=0)
    assert soak.highest_rate(record, error=0.05, dispersion=1.0) == pytest.approx(0.003, rel=0.01)
