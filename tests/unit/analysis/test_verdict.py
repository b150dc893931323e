"""The decision: what fails, what holds, and that looking late or often changes nothing.

| candidate above maximum | stable too | compared with stable | -> outcome                          |
|-------------------------|------------|----------------------|-------------------------------------|
| no                      | -          | no worse             | Pass                                |
| no                      | -          | proven worse         | Fail, ...Regressed                  |
| yes                     | no         | not proven worse     | Fail, ...AboveMaximum               |
| yes, or suspected to be | yes        | no worse             | Inconclusive, StableAlsoBreaching   |
| yes                     | yes        | proven worse         | Fail, ...Regressed                  |
| yes                     | yes        | proven better        | Pass                                |
"""

import msgspec
import numpy as np
import pytest
from tests.unit.analysis import build

from seatrial.analysis import policy, slots, verdict
from seatrial.analysis.judgement import Outcome, Reason

DEFAULTS = policy.Policy()


def both(judgement):
    return (judgement.outcome, judgement.reason)


def judge(rows, **options):
    return verdict.judge(build.errors(rows), build.PLAIN, **options)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(100, 900, 0, 5)] * 9, (Outcome.PASS, Reason.NO_REGRESSION), id="healthy"),
        pytest.param([(100, 900, 3, 5)] * 9, (Outcome.FAIL, Reason.ERRORS_REGRESSED), id="worse than stable"),
        pytest.param([(900, 3, 90, 0)], (Outcome.FAIL, Reason.ERRORS_ABOVE_MAXIMUM), id="hardly any stable traffic"),
        pytest.param([(100, 900, 30, 270)] * 9, (Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING), id="outage"),
        pytest.param([(100, 900, 9, 81)] * 2, (Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING), id="outage begins"),
        pytest.param([(100, 900, 80, 270)] * 9, (Outcome.FAIL, Reason.ERRORS_REGRESSED), id="worse in an outage"),
        pytest.param([(100, 900, 10, 500)] * 9, (Outcome.PASS, Reason.NO_REGRESSION), id="better than a sick stable"),
        pytest.param([(100, 900, 2, 5)] * 6, (Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED), id="suspicious"),
        pytest.param([(0, 900, 0, 5)] * 9, (Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC), id="no traffic"),
        pytest.param([(90, 0, 0, 0)] * 9, (Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC), id="no stable traffic"),
        pytest.param([], (Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE), id="no slots"),
    ],
)
def test_the_decision(rows, expected):
    assert both(judge(rows)) == expected


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param({"rejected": 30}, Reason.REJECTIONS_REGRESSED, id="rejections"),
        pytest.param({"degraded": 30}, Reason.DEGRADED_REGRESSED, id="degraded"),
        pytest.param({"slower": {"0.05": 30, "0.1": 0}}, Reason.LATENCY_REGRESSED, id="latency below the threshold"),
    ],
)
def test_every_kind_of_event_can_fail_a_candidate(bad, reason):
    good = {"rejected": 3, "degraded": 3, "slower": {"0.05": 3, "0.1": 0}}
    rows = [build.slot(build.arm(100, **{**good, **bad}), build.arm(100, **good))] * 9
    assert both(verdict.judge(rows, build.PLAIN)) == (Outcome.FAIL, reason)


def test_a_candidate_slower_than_the_threshold_too_often_fails_on_its_own():
    rows = [build.slot(build.arm(1000, slower={"0.1": 60}), build.arm(20, slower={"0.1": 0}))]
    assert both(verdict.judge(rows, build.PLAIN)) == (Outcome.FAIL, Reason.LATENCY_ABOVE_MAXIMUM)


def test_a_threshold_without_an_edge_is_judged_at_the_next_edge_above():
    allowed = msgspec.structs.replace(build.PLAIN, latency=policy.Latency(threshold=0.08))
    rows = [build.slot(build.arm(1000, slower={"0.05": 90, "0.1": 60}), build.arm(20, slower={"0.05": 0, "0.1": 0}))]
    assert verdict.judge(rows, allowed).metric("latencyMaximum").edge == "0.1"


def test_an_outage_while_the_candidate_has_more_traffic_does_not_blame_it():
    rows = [(100, 900, 0, 4)] * 40 + [(500, 500, 150, 150)] * 8
    assert both(judge(rows)) == (Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING)


TWO_BAD, CLEAN = (100, 900, 2, 0), (100, 900, 0, 0)


def test_a_suspicion_is_outlived_though_stable_never_fails():
    assert both(judge([TWO_BAD, *[CLEAN] * 2])) == (Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED)
    assert both(judge([TWO_BAD, *[CLEAN] * 100])) == (Outcome.PASS, Reason.NO_REGRESSION)


def test_another_bad_answer_makes_a_suspicion_last():
    rows = [TWO_BAD, *[CLEAN] * 10, (100, 900, 1, 0), *[CLEAN] * 10]
    assert both(judge(rows)) == (Outcome.INCONCLUSIVE, Reason.REGRESSION_SUSPECTED)
    assert both(judge([TWO_BAD, *[CLEAN] * 21])) == (Outcome.PASS, Reason.NO_REGRESSION)


def test_pass_needs_the_requests_of_the_current_step():
    rows = [(100, 900, 0, 4)] * 10
    assert both(judge(rows, min_requests=500, step_from=0))[0] is Outcome.PASS
    assert both(judge(rows, min_requests=500, step_from=8)) == (Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC)


def test_a_failed_candidate_fails_whatever_comes_later_and_with_the_numbers_of_the_breach():
    bad, good = [(100, 900, 5, 4)] * 4, [(100, 900, 0, 5)] * 60
    early = judge(bad)
    assert early.outcome is Outcome.FAIL
    assert judge(bad + good) == early
    assert early.breach_slot == early.slot < len(bad)


def test_a_late_look_finds_what_looks_at_each_slot_found():
    rng = np.random.default_rng(3)
    failed = 0
    for run in range(15):
        rows = build.errors([(100, 900, int(rng.poisson(1.5)), int(rng.poisson(4.5))) for _ in range(30)])
        course = list(verdict.judge_each(rows, DEFAULTS))
        for k in range(1, len(rows) + 1):
            look = verdict.judge(rows[:k], DEFAULTS)
            assert both(look) == both(course[k - 1])
            assert look.breach_slot == course[k - 1].breach_slot
            if look.outcome is Outcome.FAIL:
                assert verdict.judge(rows, DEFAULTS) == look, run
                failed += 1
                break
    assert failed > 2


def test_evidence_of_a_slot_does_not_depend_on_what_came_after_it():
    rows = build.errors([(100, 900, k % 3, 4 + k % 5) for k in range(40)])
    whole = [judgement.metrics for judgement in verdict.judge_each(rows, DEFAULTS)]
    assert [verdict.judge(rows[: k + 1], DEFAULTS).metrics for k in range(len(rows))] == whole


def test_history_lowers_the_dispersion_that_is_assumed():
    rows = [build.slot(build.pods((100, 0), (100, 0)), build.pods((450, 0), (450, 0)))] * 4
    calm = [build.slot(build.arm(0), build.pods((450, k % 2), (450, (k + 1) % 2))) for k in range(40)]
    before = verdict.judge(rows, DEFAULTS).metric("errors").dispersion
    assert verdict.judge(rows, DEFAULTS, history=calm).metric("errors").dispersion < before / 3


def test_bounds_are_the_inverse_of_alpha_times_share():
    edges = {"0.1": 0}
    metrics = verdict.judge([build.slot(build.arm(9, slower=edges), build.arm(9, slower=edges))], DEFAULTS).metrics
    assert {metric.name: round(metric.bound) for metric in metrics} == {
        "errors": 250,
        "latency": 250,
        "rejections": 1000,
        "degraded": 1000,
        "errorsMaximum": 1000,
        "latencyMaximum": 1000,
    }


def test_a_maximum_of_hundred_percent_switches_the_guard_off():
    allowed = msgspec.structs.replace(build.PLAIN, errors=policy.Errors(max=1.0))
    names = [metric.name for metric in verdict.judge(build.errors([(9, 9, 9, 9)]), allowed).metrics]
    assert "errorsMaximum" not in names


def test_an_arm_that_loses_an_edge_is_not_read_as_fast():
    known, unknown = {"0.1": 50}, dict[str, int]()
    rows = [build.slot(build.arm(100, slower=known), build.arm(900, slower={"0.1": 450}))] + [
        build.slot(build.arm(100, slower=known), build.arm(900, slower=unknown))
    ] * 20
    latency = verdict.judge(rows, build.PLAIN).metric("latency")
    assert latency.outcome is not Outcome.FAIL


@pytest.mark.parametrize(
    ("slots_", "errors", "slow", "proven"),
    [
        pytest.param(4, (1, 20), (1, 20), False, id="too little so far"),
        pytest.param(60, (1, 20), (1, 20), True, id="better in both"),
        pytest.param(60, (2, 18), (1, 20), False, id="as many errors, not yet proven"),
        pytest.param(60, (1, 20), (4, 20), False, id="slower"),
        pytest.param(60, (0, 0), (0, 0), False, id="nothing to compare"),
    ],
)
def test_proof_is_more_than_not_proven_worse(slots_, errors, slow, proven):
    (x_c, x_s), (y_c, y_s) = errors, slow
    row = build.slot(build.arm(100, x_c, slower={"0.1": y_c}), build.arm(900, x_s, slower={"0.1": y_s}))
    assert verdict.judge([row] * slots_, build.PLAIN).proven is proven


def test_a_metric_that_was_not_judged_is_asked_for_in_vain():
    with pytest.raises(KeyError):
        verdict.judge(build.errors([(9, 9, 0, 0)]), DEFAULTS).metric("latency")


def test_slots_decode_from_the_documented_json():
    text = b"""{"seconds": 15, "candidate": {"requests": 1},
                "stable": {"requests": 9, "errors": 1, "rejected": 0, "degraded": 0, "slower": {"0.1": 2},
                           "pods": [{"requests": 9, "errors": 1}]}}"""
    assert msgspec.json.decode(text, type=slots.Slot).stable.pods[0].errors == 1
