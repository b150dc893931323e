"""The tests against the reference vectors of the formulas, and what they must and must not see."""

import numpy as np
import pytest

from seatrial.analysis import evidence

ROWS = np.array([(100, 900, 0, 3), (100, 900, 2, 4), (120, 880, 3, 5), (90, 910, 4, 4), (100, 900, 5, 6)], dtype=float)
HALVES = np.array([(500, 500, 10, 10), (500, 500, 20, 10), (250, 750, 20, 12)], dtype=float)


def relative(rows, *, margin=1.0, dispersion=1.0):
    odds = np.divide(rows[:, 0], rows[:, 1], out=np.zeros(len(rows)), where=(rows[:, 0] > 0) & (rows[:, 1] > 0))
    return evidence.relative(rows[:, 2], rows[:, 3], odds=odds, margin=margin, dispersion=dispersion)


@pytest.mark.parametrize(
    ("rows", "margin", "dispersion", "expected"),
    [
        pytest.param(ROWS, 1.0, 1.0, [-0.776922, -0.039531, 1.19311, 4.426395, 8.521749], id="no margin, no tempering"),
        pytest.param(ROWS, 1.1, 2.0, [-0.537562, -0.228366, 0.276355, 1.646485, 3.366346], id="10 %, dispersion 2"),
        pytest.param(HALVES, 1.0, 1.0, [-1.429677, -0.156369, 5.973669], id="share of traffic changes"),
    ],
)
def test_relative_evidence_after_each_slot_equals_the_reference(rows, margin, dispersion, expected):
    assert relative(rows, margin=margin, dispersion=dispersion) == pytest.approx(expected, abs=1e-6)


def test_absolute_evidence_after_each_slot_equals_the_reference():
    rows = np.array([(100, 0), (100, 2), (120, 3), (90, 4), (100, 5)], dtype=float)
    got = evidence.absolute(rows[:, 1], rows[:, 0], most=0.01, dispersion=1.0)
    assert got == pytest.approx([-1.310514, -1.040101, -0.414766, 1.149931, 3.873394], abs=1e-6)


@pytest.mark.parametrize("row", [(0, 1000, 0, 50), (50, 0, 50, 0)], ids=["no candidate traffic", "no stable traffic"])
def test_a_slot_in_which_one_arm_had_no_traffic_says_nothing(row):
    assert relative(np.array([row], dtype=float))[-1] == pytest.approx(0)


def test_a_shared_outage_is_no_evidence_against_the_candidate():
    assert relative(np.array([(100, 900, 30, 270)], dtype=float))[-1] < 0


def test_five_failures_of_a_candidate_that_fails_always_pass_the_bound():
    assert relative(np.array([(5, 45, 5, 0)], dtype=float))[-1] > np.log(250)


def test_a_maximum_of_zero_percent_is_still_a_finite_question():
    assert np.isfinite(evidence.absolute(np.array([1.0]), np.array([10.0]), most=0.0, dispersion=1.0)).all()


def test_evidence_is_an_e_process_under_its_hypothesis_even_with_changing_margin_and_dispersion():
    rng = np.random.default_rng(1)
    runs, slots = 4000, 60
    events = rng.poisson(3, size=(slots, runs)).astype(float)
    share = np.linspace(0.1, 0.5, slots)[:, None]
    candidate = rng.binomial(events.astype(int), share).astype(float)
    tempering = np.linspace(1.0, 2.0, slots)[:, None] + np.zeros((1, runs))
    margin = np.linspace(1.3, 1.0, slots)[:, None] + np.zeros((1, runs))
    course = evidence.relative(
        candidate,
        events - candidate,
        odds=share / (1 - share) + np.zeros((1, runs)),
        margin=margin,
        dispersion=tempering,
    )
    assert (course.max(axis=0) >= np.log(20)).mean() <= 0.05


def limits(rows):
    return evidence.ratio_limits(rows[:, 2], rows[:, 3], odds=rows[:, 0] / rows[:, 1], dispersion=1.0)


def test_limits_surround_the_ratio_and_tighten():
    rows = np.array([(1000, 1000, 40, 10)] * 8, dtype=float)
    (early_low, early_high), (low, high) = limits(rows[:1]), limits(rows)
    assert 1 < early_low < low < 4 < high < early_high


def test_limits_are_open_where_there_are_no_events():
    assert limits(np.array([(1000, 1000, 0, 0)], dtype=float)) == (0.0, np.inf)


def test_limits_of_a_long_window_are_those_of_its_slots(monkeypatch):
    rng = np.random.default_rng(4)
    rows = np.column_stack([rng.poisson(mean, 1000) for mean in (100, 900, 2, 9)]).astype(float)
    pooled = limits(rows)
    monkeypatch.setattr(evidence, "POOLED_FROM", len(rows))
    assert pooled == pytest.approx(limits(rows), rel=0.06)  # a step of the grid


@pytest.mark.long
def test_limits_hold_at_all_times_at_once_in_99_percent_of_runs():
    rng = np.random.default_rng(2)
    events = rng.poisson(4, size=(40, 200))
    candidate = rng.binomial(events, 2 / 3)  # odds 1: the true ratio is 2
    ones = np.ones((40, 1))

    def misses(run):
        rows = np.hstack([ones, ones, candidate[:, [run]], (events - candidate)[:, [run]]])
        course = [limits(rows[: k + 1]) for k in range(40)]
        return any(low > 2 or high < 2 for low, high in course)

    assert np.mean([misses(run) for run in range(200)]) <= 0.02


def test_limits_of_a_share_surround_it():
    low, high = evidence.share_limits(np.array([30.0]), np.array([1000.0]), dispersion=1.0)
    assert 0.012 < low < 0.03 < high < 0.06


def test_proof_of_no_harm_is_rarely_found_for_a_candidate_at_the_margin():
    rng = np.random.default_rng(3)
    events = rng.poisson(6, size=(80, 3000))
    candidate = rng.binomial(events, 1.1 / 2.1).astype(float)
    course = evidence.relative(
        candidate, events - candidate, odds=np.ones((80, 3000)), margin=1.1, dispersion=1.0, ratios=evidence.BETTER
    )
    assert (course.max(axis=0) >= np.log(20)).mean() <= 0.05
