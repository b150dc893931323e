"""Cohorts become days once all their labels may have come, whatever happens to the pods that count them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from seatrial.analysis import cohorts, maturing
from seatrial.analysis.cohorts import COUNT, SKEW, Kind
from seatrial.analysis.quality_after import Day

LENGTH, HORIZON = 3600.0, 24 * 3600.0
PART = maturing.step(LENGTH)
Totals = Mapping[tuple[str, Kind], Mapping[int, float]]
"""By pod and counter: the total at the end of each part, counted from 0."""


def series(cohort: int, totals: Totals) -> list[cohorts.Series]:
    return [
        cohorts.Series(
            pod=pod,
            kind=kind,
            by="r1",
            cohort=cohort % COUNT,
            samples=tuple((part * PART + SKEW, value) for part, value in sorted(values.items())),
        )
        for (pod, kind), values in totals.items()
    ]


def steady(value: float, parts: Iterable[int]) -> dict[int, float]:
    return dict.fromkeys(parts, value)


def returns(**changes: float) -> maturing.Returns:
    return maturing.Returns("r1", **{"seconds": LENGTH, "horizon": HORIZON, "since": 0.0, **changes})


@pytest.mark.parametrize(
    ("seconds", "part"), [(3600, 900), (60, 60), (75, 75), (120, 60), (3601, 3601), (216_000, 54_000)]
)
def test_parts_of_a_cohort_are_equal_and_none_lies_in_two(seconds: float, part: int) -> None:
    assert maturing.step(seconds) == part
    assert seconds % part == 0


def test_a_cohort_is_told_once_and_not_before_the_last_label_may_have_come() -> None:
    known, all_ = returns(), range(1, 4 * COUNT)
    told = series(0, {("a", Kind.ROWS): steady(100, all_), ("a", Kind.WRONG): {part: min(part, 90) for part in all_}})
    found = []
    for part in all_:
        moment = part * PART + SKEW
        now = [one for one in told for at, _ in one.samples if at == moment]
        got = known.add(
            [type(one)(**{**_fields(one), "samples": ((moment, dict(one.samples)[moment]),)}) for one in now]
        )
        assert not got or moment >= LENGTH + HORIZON
        found += got
    [only] = found
    assert (only.start, only.stable.rows, only.stable.wrong) == (0.0, 100.0, 90.0)


def _fields(one: cohorts.Series) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_what_a_pod_counted_before_it_restarted_stays() -> None:
    rows = {**steady(100, range(1, 20)), **steady(0, range(20, 4 * COUNT))}
    wrong = {**steady(7, range(1, 20)), **steady(0, range(20, 30)), **steady(5, range(30, 4 * COUNT))}
    [found] = returns().add(series(0, {("a", Kind.ROWS): rows, ("a", Kind.WRONG): wrong}))
    assert (found.stable.rows, found.stable.wrong) == (100.0, 12.0)


def test_labels_that_other_revisions_pods_took_are_added_and_their_rows_are_not() -> None:
    mine = {("a", Kind.ROWS): steady(100, range(1, 4 * COUNT)), ("b", Kind.RIGHT): steady(40, range(9, 4 * COUNT))}
    others = [
        cohorts.Series(pod="c", kind=Kind.ROWS, by="r2", cohort=0, samples=((PART + SKEW, 77.0),)),
        *series(0, mine),
    ]
    [found] = returns().add(others)
    assert (found.stable.rows, found.stable.right) == (100.0, 40.0)


def test_of_a_cohort_whose_place_was_used_again_before_anybody_looked_nothing_counts() -> None:
    early, late = steady(100, range(1, 30)), steady(3, [4 * COUNT + 1])
    assert returns().add(series(0, {("a", Kind.ROWS): early})) == []
    known = returns()
    assert known.add(series(0, {("a", Kind.ROWS): {**early, **late}})) == []
    assert known.until == LENGTH


def test_days_are_added_up_from_when_they_begin() -> None:
    answers = cohorts.Answers(rows=10, right=3, wrong=1)
    complete = [cohorts.Cohort(start=at * LENGTH, end=(at + 1) * LENGTH, stable=answers) for at in range(30)]
    found = maturing.counted({0: Day(1, 1, 0)}, complete, begins=1800.0, day=24 * 3600.0)
    assert found == {-1: Day(10, 4, 1), 0: Day(241, 97, 24), 1: Day(50, 20, 5)}
