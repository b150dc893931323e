"""Latency as users mean it: a floor, tolerance in time, and slowness that is found as soon as ever."""

import math

import msgspec
import numpy as np
import pytest
from tests.unit.analysis import build

from seatrial.analysis import evidence, policy, slower, table, verdict
from seatrial.analysis.judgement import Outcome, Reason
from seatrial.api import values

EDGES = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def above(median, sigma, edge):
    return 0.5 * math.erfc(math.log(edge / median) / (sigma * math.sqrt(2)))


def arm(requests, median, *, sigma=0.5, more=0.0):
    """Requests with a lognormal body, all of them `more` seconds later."""
    counts = {f"{edge:g}": round(requests * above(median, sigma, max(edge - more, 1e-9))) for edge in EDGES}
    return build.arm(requests, slower=counts)


def judge(candidate, stable, *, threshold="50ms", slots=20, **more):
    latency = {"threshold": threshold, "max": "100%", **more}
    rules = policy.of(msgspec.convert({"latency": latency}, policy.Tolerances, dec_hook=values.decode_hook))
    rules = msgspec.structs.replace(rules, dispersion=1.1, spread=0.0)
    return verdict.judge([build.slot(candidate, stable)] * slots, rules)


def test_half_a_millisecond_is_nobodys_business():
    judged = judge(arm(300, 0.0009), arm(2700, 0.0004), slots=100)
    assert judged.outcome is Outcome.PASS


def test_the_floor_can_be_lowered():
    slow, fast = arm(300, 0.0016, sigma=0.2), arm(2700, 0.0008, sigma=0.2)
    assert judge(slow, fast, slots=40).outcome is Outcome.PASS
    judged = judge(slow, fast, slots=40, floor="1ms")
    assert (judged.outcome, judged.reason) == (Outcome.FAIL, Reason.LATENCY_REGRESSED)


@pytest.mark.parametrize("floor", [None, "1ms"], ids=["default floor", "any edge"])
def test_fifty_milliseconds_more_are_found_at_once(floor):
    judged = judge(arm(75, 0.001, more=0.05), arm(675, 0.001), **({"floor": floor} if floor else {}))
    assert judged.breach_slot == 0


def test_a_version_twenty_percent_slower_throughout_is_within_a_tolerance_of_25_percent():
    judged = judge(arm(3000, 0.024), arm(27000, 0.02), threshold="100ms", slots=20)
    assert judged.outcome is not Outcome.FAIL


def test_a_version_forty_percent_slower_throughout_is_not():
    judged = judge(arm(300, 0.028), arm(2700, 0.02), threshold="100ms", slots=40)
    assert (judged.outcome, judged.reason) == (Outcome.FAIL, Reason.LATENCY_REGRESSED)


def test_between_two_edges_the_share_of_slower_requests_is_interpolated():
    rows = table.build([build.slot(arm(1000, 0.02), arm(1_000_000, 0.02))] * 2)
    place = rows.edges.index("0.025")
    expected = above(0.02, 0.5, 0.025 / 1.2) / above(0.02, 0.5, 0.025)
    assert slower.margin(rows, 0.25)[1, place] == pytest.approx(expected, rel=0.02)


def test_a_single_edge_has_no_earlier_one():
    one = build.slot(build.arm(100, slower={"0.1": 9}), build.arm(900, slower={"0.1": 80}))
    assert slower.margin(table.build([one] * 3), 0.25).tolist() == [[1.0]] * 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
@pytest.mark.parametrize("margin", [1.0, 1.25])
def test_evidence_of_slowness_rarely_reaches_the_bound_at_the_margin(share, margin):
    """At the margin itself: the chance to reach 20 ever is at most a twentieth."""
    rng = np.random.default_rng(7)
    runs, slots = 2000, 80
    n_c, n_s = np.full(slots, 30.0), np.full(slots, 170.0)
    drift = share * np.linspace(0.7, 1.2, slots)[:, None]  # of both arms together
    candidate = rng.binomial(30, drift * margin, size=(slots, runs)).astype(float)
    stable = rng.binomial(170, np.broadcast_to(drift, (slots, runs))).astype(float)
    course = evidence.slower(
        candidate,
        stable,
        requests=(n_c, n_s),
        known=np.ones((slots, runs)),
        margin=np.full((slots, runs), margin),
        dispersion=1.1,
    )
    assert (course.max(axis=0) >= np.log(20)).mean() <= 0.05


def test_requests_that_are_all_slow_on_both_arms_are_no_evidence():
    every = np.full((5, 1), 30.0)
    course = evidence.slower(
        every,
        every * 3,
        requests=(every[:, 0], every[:, 0] * 3),
        known=np.ones((5, 1)),
        margin=np.full((5, 1), 1.25),
        dispersion=1.1,
    )
    assert np.isfinite(course).all()
    assert course[-1, 0] <= 0
