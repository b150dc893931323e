"""Quality of the version that serves alone: measured by mature labels, and expected from confidence."""

from __future__ import annotations

import numpy as np
import pytest

from seatrial.analysis import calibration, quality_after
from seatrial.analysis.quality_after import Day

RATE = 0.05


def days(wrong: float, *, count: int = 28, labelled: float = 2000, seed: int = 0) -> list[Day]:
    random = np.random.default_rng(seed)
    return [Day(rows=labelled * 2, labelled=labelled, wrong=float(random.binomial(int(labelled), wrong)))] + [
        Day(rows=labelled * 2, labelled=labelled, wrong=float(random.binomial(int(labelled), wrong)))
        for _ in range(count - 1)
    ]


def judge(some: list[Day], *, most: float = 0.15, holdout: tuple[int, int] | None = (2000, 160)):
    found = quality_after.judge(some, most=most, tolerance=0.1, holdout=holdout, rate=RATE)
    assert found is not None
    return found


def test_estimated_accuracy_is_that_of_the_reference_vectors() -> None:
    found = calibration.accuracy(
        [0, 0, 0, 0, 0, 100, 150, 200, 250, 300], [0] * 5 + [55, 62, 72, 85, 95], [0] * 5 + [100] * 5
    )
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.789604, 0.756925, 0.822283), abs=1e-6)
    assert calibration.accuracy([0] * 10, [0] * 10, [0] * 10) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_month_as_good_as_the_holdout_says_nothing(seed: int) -> None:
    found = judge(days(0.08, seed=seed))
    assert not found.dropped
    assert found.bound == pytest.approx(2 * 365 * 6 / RATE)


@pytest.mark.parametrize(
    ("wrong", "most", "holdout"),
    [(0.2, 0.15, None), (0.14, 0.5, (2000, 160))],
    ids=["above the maximum", "the holdout"],
)
def test_one_that_has_become_worse_is_found_within_days(wrong: float, most: float, holdout: tuple[int, int]) -> None:
    seen = [*days(0.08, count=20), *days(wrong, count=3, seed=1)]
    found = judge(seen, most=most, holdout=holdout)
    assert found.dropped
    assert found.low < wrong
    assert found.share > found.limit


def test_days_that_differ_among_themselves_make_it_careful() -> None:
    restless = [Day(rows=4000, labelled=2000, wrong=float(wrong)) for wrong in (40, 600, 50, 500, 60, 550, 30)]
    calm = [Day(rows=4000, labelled=2000, wrong=float(wrong)) for wrong in (250, 270, 260, 265, 255, 262, 268)]
    sure, unsure = judge(calm, most=0.1, holdout=None), judge(restless, most=0.1, holdout=None)
    assert sure.dropped
    assert not unsure.dropped


def test_too_few_labels_judge_nothing_and_are_told() -> None:
    seen = [*days(0.08, count=10), Day(rows=4000, labelled=300, wrong=200)]
    found = judge(seen)
    assert found.missing == "labels came for 7.5% of the rows of the last day, usually for 50.0%"
    assert not found.dropped


def test_without_a_label_there_is_no_standing() -> None:
    nothing = [Day(rows=100, labelled=0, wrong=0)] * 3
    assert quality_after.judge(nothing, most=0.1, tolerance=0.1, holdout=None, rate=RATE) is None
    assert quality_after.judge([], most=0.1, tolerance=0.1, holdout=None, rate=RATE) is None
