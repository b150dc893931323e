"""Dispersion and margin: what they measure, when, and that they never look ahead."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.analysis.build import arm, pods, slot

from seatrial.analysis import dispersion, slots, table

ALIKE = pods((250, 2), (250, 2), (250, 3), (250, 1))
BURSTY = [pods(*[(250, 10 if pod == minute % 4 else 0) for pod in range(4)]) for minute in range(40)]


def history(arms, seconds=60.0):
    return [slot(arm(0), stable, seconds) for stable in arms]


def now(candidate_pods=1, stable_pods=4):
    return slot(pods(*[(100, 1)] * candidate_pods), pods(*[(250, 2)] * stable_pods))


def phi_of_errors(arms):
    return float(dispersion.phi(table.build([now()], history(arms)))[0, table.ERRORS])


def margin_of_errors(arms, slot_=None, spread=None):
    rows = table.build([slot_ or now()], history(arms))
    return float(dispersion.margin(rows, np.full(table.FIRST_EDGE, 0.1), spread=spread)[0, table.ERRORS])


def test_bursts_on_single_pods_are_seen_between_pods():
    assert phi_of_errors(BURSTY) == pytest.approx(10, rel=0.15)


def test_without_pods_bursts_are_seen_over_time():
    arms = [arm(1000, 20 if minute % 3 == 1 else 0) for minute in range(42)]
    assert phi_of_errors(arms) == pytest.approx(20, rel=0.15)


def test_a_pod_that_took_anothers_place_is_not_compared_with_it():
    named = [
        slots.total((slots.PodCounts(requests=1000, errors=20 * (m % 3 == 1), name=str(m > 20)),)) for m in range(42)
    ]
    assert phi_of_errors(named) == pytest.approx(20, rel=0.15)


def test_slow_drift_over_time_is_no_dispersion():
    assert phi_of_errors([arm(10_000, 100 + 5 * minute) for minute in range(40)]) == dispersion.FLOOR


def test_a_shared_outage_is_no_dispersion_between_pods():
    arms = [pods(*[(250, 50 if minute == 20 else 1)] * 4) for minute in range(40)]
    assert phi_of_errors(arms) == dispersion.FLOOR


def test_without_events_clumps_are_allowed_for():
    assert phi_of_errors([pods((250, 0), (250, 0))] * 29) == pytest.approx(4.5)


@pytest.mark.parametrize(("events", "most"), [(10, 1.7), (20, 1.4), (40, 1.2)])
def test_events_that_come_one_by_one_earn_a_low_dispersion(events, most):
    one_by_one = [pods(*[(250, int(pod == minute % 4)) for pod in range(4)]) for minute in range(events)]
    assert phi_of_errors(one_by_one) <= most


def test_a_dozen_events_that_come_in_bursts_earn_none():
    assert phi_of_errors([pods((250, 6), (250, 0), (250, 0)), pods((250, 0), (250, 0), (250, 6))]) > 4


def test_the_candidates_events_count_as_well():
    one_by_one = [slot(pods((100, 1), (100, 0)), pods((250, 0), (250, 0))) for _ in range(20)]
    assert dispersion.phi(table.build(one_by_one))[-1, table.ERRORS] < 1.5


def test_a_candidate_that_fails_all_the_time_is_no_noise():
    failing = [slot(pods((100, 100), (100, 100)), pods((250, 0), (250, 0))) for _ in range(5)]
    assert dispersion.phi(table.build(failing))[-1, table.ERRORS] == dispersion.FLOOR


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([1.0, 5.0, 15.0])), min_size=1, max_size=25
    )
)
def test_sums_kept_slot_by_slot_are_those_of_the_cells(rows):
    """Against the definition: cells of a pod and a block, compared within their group."""
    first = slot(arm(0), pods((20, 0), (10, 0)), 15.0)
    slots_ = [slot(arm(0), pods((20, a), (10, b)), seconds) for a, b, seconds in rows]
    built = table.build([now()], [first] * 3 + slots_)
    squares = expected = 0.0
    for block in sorted(set(built.record.blocks[:-1].tolist())):
        inside = built.record.blocks[:-1] == block
        n, x = built.record.requests[:-1][inside].sum(axis=0), built.record.events[:-1][inside, :, 0].sum(axis=0)
        squares += float(((x - x.sum() * n / n.sum()) ** 2).sum())
        expected += float(x.sum() * (1 - (n**2).sum() / n.sum() ** 2))
    allowed = dispersion.PRIOR_WEIGHT * dispersion.PRIOR + dispersion.UNEARNED
    phi = np.clip((squares + allowed) / (expected + dispersion.PRIOR_WEIGHT), dispersion.FLOOR, dispersion.CAP)
    assert dispersion.phi(built)[0, table.ERRORS] == pytest.approx(phi)


def test_dispersion_is_capped():
    assert (
        phi_of_errors([pods((1000, 500 * (m % 2)), (1000, 500 * ((m + 1) % 2))) for m in range(10)]) == dispersion.CAP
    )


def test_a_given_dispersion_is_taken():
    assert (dispersion.phi(table.build([now()], history(BURSTY)), 2.0) == 2.0).all()


def test_what_happens_in_a_slot_counts_only_after_it():
    calm, wild = history([ALIKE] * 20), history([BURSTY[0]] * 20)
    rows = [now()] * 8
    before = dispersion.phi(table.build(rows, calm))
    after = dispersion.phi(table.build([*rows, *wild], calm))
    assert (after[: len(rows) + 1] == dispersion.phi(table.build([*rows, now()], calm))).all()
    assert (after[: len(rows)] == before).all()
    assert after[-1, table.ERRORS] > before[-1, table.ERRORS]


def test_pods_that_differ_for_long_widen_the_margin():
    unlike = [pods((1000, 5), (1000, 10), (1000, 15), (1000, 10))] * 60
    rates = np.log([5, 10, 15, 10])
    s = np.std(rates, ddof=1) * (1 + dispersion.UNSURE / 3)
    expected = math.exp(1.64 * s * math.sqrt(1 + 1 / 4))
    assert margin_of_errors(unlike) == pytest.approx(expected, rel=0.05)


def test_more_candidate_pods_need_less_margin():
    unlike = [pods((1000, 5), (1000, 10), (1000, 15), (1000, 10))] * 60
    assert margin_of_errors(unlike, now(candidate_pods=4)) < margin_of_errors(unlike)


def test_pods_that_differ_no_more_than_chance_leave_the_tolerance():
    turns = [pods(*[(250, (2, 2, 3, 1)[(pod + minute) % 4]) for pod in range(4)]) for minute in range(60)]
    assert margin_of_errors(turns) == pytest.approx(1.1)


def test_a_given_spread_is_used_as_it_is():
    assert margin_of_errors([ALIKE], spread=0.3) == pytest.approx(math.exp(1.64 * 0.3 * math.sqrt(1 + 1 / 4)))


def test_pods_are_known_by_name_when_they_have_one():
    def named(*counts):
        return slots.total(tuple(slots.PodCounts(requests=n, errors=x, name=name) for name, n, x in counts))

    swapping = [named(("a", 1000, 5), ("b", 1000, 15)), named(("b", 1000, 15), ("a", 1000, 5))] * 30
    by_place = [pods((1000, 5), (1000, 15)), pods((1000, 15), (1000, 5))] * 30
    assert margin_of_errors(swapping) > 2
    assert margin_of_errors(by_place) == pytest.approx(1.1)
