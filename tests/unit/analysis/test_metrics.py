"""The user's own numbers: every pitfall of the query language ends as said, never as a silent pass."""

import math

import pytest

from seatrial.analysis import metrics
from seatrial.analysis.judgement import Outcome
from seatrial.analysis.metrics import Limits, OnNoData, Sample

NOW = 1_700_000_000.0
LIMITS = Limits(name="fraud_score_mean", least=0.01, most=0.2)


def one(value, moment=NOW):
    return [Sample(moment, value)]


@pytest.mark.parametrize(
    ("value", "outcome", "words"),
    [
        pytest.param(0.1, Outcome.PASS, "0.1", id="within"),
        pytest.param(0.2, Outcome.PASS, "0.2", id="at the maximum"),
        pytest.param(0.01, Outcome.PASS, "0.01", id="at the minimum"),
        pytest.param(0.21, Outcome.FAIL, "0.21 is above the maximum 0.2", id="above"),
        pytest.param(0.001, Outcome.FAIL, "0.001 is below the minimum 0.01", id="below"),
        pytest.param(math.inf, Outcome.FAIL, "inf is above", id="divided by zero"),
        pytest.param(-math.inf, Outcome.FAIL, "-inf is below", id="a logarithm of zero"),
    ],
)
def test_a_number_is_held_against_its_limits(value, outcome, words):
    result = metrics.judge(LIMITS, one(value))
    assert (result.outcome, result.value) == (outcome, value)
    assert words in result.message


NOTHING = [
    pytest.param([], {}, "no series", id="no series"),
    pytest.param([Sample(NOW, 0.1), Sample(NOW, 0.1)], {}, "2 series", id="several series"),
    pytest.param(one(math.nan), {}, "NaN", id="nobody asked yet"),
    pytest.param(one(0.1, NOW - 300), {"since": NOW}, "300 s older", id="from before the step"),
    pytest.param(one(0.1), {"warnings": ["fetch timed out"]}, "fetch timed out", id="a partial answer"),
]


@pytest.mark.parametrize(("answer", "options", "words"), NOTHING)
def test_what_is_no_number_holds(answer, options, words):
    result = metrics.judge(LIMITS, answer, **options)
    assert (result.outcome, result.value) == (Outcome.NO_DATA, None)
    assert words in result.message


@pytest.mark.parametrize(("answer", "options", "words"), NOTHING)
@pytest.mark.parametrize(("policy", "outcome"), [(OnNoData.ROLLBACK, Outcome.FAIL), (OnNoData.IGNORE, Outcome.PASS)])
def test_what_is_no_number_does_what_was_asked_and_says_so(answer, options, words, policy, outcome):
    limits = Limits(name="fraud_score_mean", most=0.2, on_no_data=policy)
    result = metrics.judge(limits, answer, **options)
    assert result.outcome is outcome
    assert words in result.message
    assert f"onNoData: {policy}" in result.message


def test_infinity_without_a_limit_on_its_side_is_allowed():
    assert metrics.judge(Limits(name="n", least=0.0), one(math.inf)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ((), Outcome.PASS),
        ((Outcome.PASS, Outcome.NO_DATA), Outcome.NO_DATA),
        ((Outcome.NO_DATA, Outcome.FAIL, Outcome.PASS), Outcome.FAIL),
    ],
)
def test_one_that_fails_decides_and_one_without_data_holds(outcomes, together):
    assert metrics.worst([metrics.Result("n", outcome, "") for outcome in outcomes]) is together
