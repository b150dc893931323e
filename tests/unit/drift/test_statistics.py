"""The formulas against their reference vectors, and what must hold for any counts."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from seatrial.drift import bound, margin, phi, season, sets

QUARTERS = np.full(4, 0.25)
TENTHS = np.full(10, 0.1)
FOUR_DAYS = np.array([[100, 100, 100, 100], [120, 110, 90, 80], [150, 130, 80, 40], [200, 120, 50, 30]], dtype=float)


def evidence(counts, reference, allowed=0.1, *, ordered=True, dispersion=1.0):
    chosen = sets.family(len(reference), ordered=ordered)
    return sets.log_evidence(sets.log_terms(counts, chosen, chosen @ reference + allowed), np.asarray(dispersion))


def rare(counts, most, excesses=sets.EXCESSES):
    """Of the first of two bins."""
    return sets.log_evidence(sets.log_terms(counts, np.array([[1.0, 0.0]]), np.array([most]), excesses), np.array(1.0))


def shifted(by):
    """Shares of the deciles of a normal column after a shift by so many standard deviations."""
    return np.diff(special.ndtr(special.ndtri(np.linspace(0, 1, 11)) - by))


def test_four_bins_have_twelve_sets():
    rows = sets.family(4, ordered=True).astype(int).tolist()
    assert rows == [
        [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1],
        [1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 1, 0],
    ]  # fmt: skip


def test_deciles_have_42_sets():
    assert len(sets.family(10, ordered=True)) == 42


def test_a_row_in_a_set_speaks_for_it_and_one_outside_against():
    (outside, *_, inside) = sets.log_terms(np.eye(4), np.array([[0.0, 0, 0, 1]]), np.array([0.35]))[:, 0]
    assert inside == pytest.approx([0.04879, 0.09531, 0.223144, 0.405465, 0.693147, 0.998529, 0.998529], abs=1e-6)
    assert outside == pytest.approx(
        [-0.027292, -0.05535, -0.144581, -0.313658, -0.77319, -2.564949, -2.564949], abs=1e-6
    )


def test_alternatives_that_are_none_say_nothing():
    chosen = sets.family(4, ordered=True)
    found = sets.log_terms(np.ones(4), chosen, chosen @ QUARTERS + 0.1)
    assert np.count_nonzero(np.isfinite(found)) == 84
    assert np.isneginf(sets.log_terms(np.ones(2), np.array([[1.0, 0.0]]), np.array([0.96]))).all()


@pytest.mark.parametrize(
    ("dispersion", "expected"),
    [
        pytest.param(1.0, [-6.254929, -5.269120, 3.121695, 29.374830], id="independent rows"),
        pytest.param(4.0, [-3.161368, -2.983725, -1.216026, 4.107165], id="tempered"),
    ],
)
def test_evidence_of_a_window_equals_the_reference(dispersion, expected):
    assert evidence(FOUR_DAYS, QUARTERS, dispersion=np.full(4, dispersion)) == pytest.approx(expected, abs=1e-6)


def test_evidence_of_days_together_is_that_of_their_sum():
    assert evidence(FOUR_DAYS.sum(0), QUARTERS) == pytest.approx(1.948361, abs=1e-6)


def test_evidence_of_categories_equals_the_reference():
    windows = np.array([[400, 350, 250], [350, 300, 350.0]])
    assert evidence(windows, np.array([0.5, 0.3, 0.2]), ordered=False) == pytest.approx([-5.492137, 2.435907], abs=1e-6)


def test_evidence_of_a_shift_by_half_a_standard_deviation_equals_the_reference():
    assert shifted(0.5) == pytest.approx(
        [0.037411, 0.052448, 0.062964, 0.072798, 0.082917, 0.094051, 0.107145, 0.123949, 0.149079, 0.217239], abs=1e-6
    )
    assert evidence(1000 * shifted(0.5), TENTHS) == pytest.approx(12.56041, abs=1e-5)


def test_evidence_of_rare_values_equals_the_reference():
    assert rare(np.array([50, 950.0]), 0.02, sets.RARE_EXCESSES) == pytest.approx(13.966459, abs=1e-6)


def test_a_set_that_may_hold_nearly_everything_says_nothing():
    assert rare(np.array([1000.0, 0]), 0.96) == -math.inf


@pytest.mark.parametrize(("rows", "expected"), [(50, 0.423142), (256, 0.187004), (500, 0.133809), (2000, 0.1)])
def test_few_reference_rows_widen_the_margin(rows, expected):
    assert margin.shape(0.1, rows, TENTHS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("tests", "expected"), [(3, 1_182_600), (60, 23_652_000), (201, 79_234_200)])
def test_the_bound_shares_the_rate_out_over_all_looks_of_a_year(tests, expected):
    assert bound.of(0.05, tests) == pytest.approx(expected)


def test_dispersion_of_a_split_equals_the_reference():
    found = phi.split(np.array([[50, 50, 50, 50], [60, 40, 55, 45.0]]))
    assert (found.squares, found.freedom) == (pytest.approx(2.521455, abs=1e-6), 3)
    assert phi.estimate(phi.Sums(np.array(30.0), np.array(9.0))) == pytest.approx(3.571429, abs=1e-6)


def test_three_pods_count_as_a_table_of_three():
    found = phi.split(np.array([[50, 50.0], [60, 40], [40, 60]]))
    assert (found.squares, found.freedom) == (pytest.approx(8.0), 2)


def test_one_jump_between_days_is_capped():
    jump = phi.after_day(phi.UNKNOWN, 10_000 * TENTHS, 10_000 * shifted(2.0))
    assert jump.days.squares == pytest.approx(phi.CAPPED * phi.DEFAULT * 9)


def test_days_that_differ_raise_the_dispersion_from_three_pairs_on():
    noise, found = phi.UNKNOWN, []
    for day in range(6):
        noise = phi.after_day(noise, 1e5 * shifted(0.2 * (day % 2)), 1e5 * shifted(0.2 * ((day + 1) % 2)))
        found.append(float(phi.of(noise)))
    assert found[:2] == [4.0, 4.0]
    assert found[2] > 4 < found[5]


def test_the_stray_of_a_week_equals_the_reference():
    week = np.array([[250.0] * 4] * 6 + [[400, 300, 200, 100.0]])
    assert season.stray(week, np.array(1.0)) == pytest.approx(0.15)


def test_days_that_differ_by_chance_do_not_stray():
    random = np.random.default_rng(1)
    assert not season.stray(random.multinomial(1000, TENTHS, size=(7, 50)).astype(float), np.ones(50)).any()


@pytest.mark.parametrize(
    ("known", "before", "expected"),
    [
        pytest.param("1111111", 1, None, id="the week ends with the window"),
        pytest.param("11111111", 1, slice(0, 7), id="a week before the window's day"),
        pytest.param("1" * 12, 5, slice(0, 7), id="a week before five days"),
        pytest.param("1111111011", 1, slice(0, 7), id="a gap is skipped"),
        pytest.param("1110111101", 1, None, id="gaps everywhere"),
    ],
)
def test_room_comes_from_a_whole_week_that_ended_before_the_window(known, before, expected):
    assert season.week(np.array([one == "1" for one in known]), before=before) == expected


@pytest.mark.parametrize("true", [(0.6, 0.25, 0.15), (0.5, 0.3, 0.2), (0.4, 0.4, 0.2), (0.5, 0.2, 0.3)])
def test_evidence_has_a_mean_of_at_most_one_up_to_the_margin(true):
    """By exact enumeration of all counts of eight rows in three bins."""
    mean = 0.0
    for first, second in itertools.product(range(9), repeat=2):
        if (third := 8 - first - second) < 0:
            continue
        ways = math.factorial(8) / (math.factorial(first) * math.factorial(second) * math.factorial(third))
        chance = ways * true[0] ** first * true[1] ** second * true[2] ** third
        counts = np.array([first, second, third], float)
        mean += chance * math.exp(evidence(counts, np.array([0.5, 0.3, 0.2]), ordered=False))
    assert mean <= 1


@given(st.lists(st.integers(0, 500), min_size=10, max_size=10), st.integers(1, 100))
def test_rows_in_the_references_proportions_lower_all_evidence_for_a_set(counts, times):
    chosen = sets.family(10, ordered=True)
    before, after = (
        sets.log_terms(np.array(counts, float) + more, chosen, chosen @ TENTHS + 0.1) for more in (0, times)
    )
    assert (after[np.isfinite(after)] < before[np.isfinite(before)]).all()
