"""Are answers worse, by what came back for them: cohort by cohort."""

from __future__ import annotations

import math

import hypothesis
import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st

from seatrial.analysis import cohorts, evidence, explain, outcomes, quality
from seatrial.analysis.cohorts import Answers, Cohort, Kind
from seatrial.analysis.judgement import Outcome
from seatrial.analysis.slots import ArmCounts, Slot
from seatrial.api import spec

LENGTH = 100.0
T0 = 1_000_000.0  # begins a cohort


def labelled(
    rate: float, *, stables: float = 0.08, cohorts_: int = 60, rows: int = 1200, weight: float = 0.1, seed: int = 0
) -> list[Cohort]:
    """All rows labelled, candidate and stable wrong with these shares."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(cohorts_):
        mine = int(random.binomial(rows, weight))
        wrong = [int(random.binomial(count, share)) for count, share in ((mine, rate), (rows - mine, stables))]
        found.append(
            Cohort(
                candidate=Answers(rows=mine, wrong=wrong[0], right=mine - wrong[0]),
                stable=Answers(rows=rows - mine, wrong=wrong[1], right=rows - mine - wrong[1]),
            )
        )
    return found


def test_the_evidence_is_that_of_the_reference_vectors() -> None:
    x, s = np.array([5.0, 8, 12]), np.array([9.0, 10, 11])
    found = evidence.relative(x, s, odds=np.full(3, 1 / 9), margin=1.1, dispersion=1.0)
    assert found == pytest.approx([1.944401, 7.717952, 18.812408], abs=1e-6)


@pytest.mark.parametrize(
    ("rate", "outcome"), [(0.08, Outcome.PASS), (0.04, Outcome.PASS), (0.12, Outcome.FAIL), (0.5, Outcome.FAIL)]
)
def test_a_worse_version_is_found_and_an_equal_one_is_not(rate: float, outcome: Outcome) -> None:
    found = quality.judge(labelled(rate), tolerance=0.1, alpha=0.01)
    assert (found.name, found.outcome) == ("quality", outcome)
    assert found.bound == pytest.approx(714.3, abs=0.1)
    assert "quality: candidate" in explain.metric_sentence(found, seconds=3600)


def test_without_labels_there_is_nothing_to_judge() -> None:
    unlabelled = [Cohort(stable=Answers(rows=900), candidate=Answers(rows=100))] * 5
    for seen in ([], unlabelled):
        assert quality.judge(seen, tolerance=0.1, alpha=0.01).outcome is Outcome.NO_DATA
        assert quality.uneven(seen, alpha=0.01) == ""


def test_complaints_alone_are_enough_for_what_is_counted_is_wrong_rows_among_answers() -> None:
    complaints = [
        Cohort(
            stable=Answers(rows=one.stable.rows, wrong=one.stable.wrong),
            candidate=Answers(rows=one.candidate.rows, wrong=one.candidate.wrong),
        )
        for one in labelled(0.16)
    ]
    assert quality.judge(complaints, tolerance=0.1, alpha=0.01).outcome is Outcome.FAIL
    assert quality.uneven(complaints, alpha=0.01) == ""


@pytest.mark.parametrize("kept", [0.3, 3.0], ids=["candidate's are lost", "stable's are lost"])
def test_labels_that_one_version_gets_more_of_judge_nobody(kept: float) -> None:
    seen = []
    for one in labelled(0.08):
        mine, theirs = (min(kept, 1.0), min(1 / kept, 1.0))
        stable, candidate = (
            Answers(rows=arm.rows, right=arm.right * part, wrong=arm.wrong * part)
            for arm, part in ((one.stable, theirs), (one.candidate, mine))
        )
        seen.append(Cohort(stable=stable, candidate=candidate))
    assert "of the candidate's rows" in quality.uneven(seen, alpha=0.01)


@pytest.mark.parametrize("rate", [0.08, 0.16, 0.4])
def test_a_worse_version_is_no_reason_to_call_labels_uneven(rate: float) -> None:
    assert quality.uneven(labelled(rate), alpha=0.01) == ""


def test_clumps_make_the_evidence_careful() -> None:
    calm = labelled(0.08)
    clumpy = [
        Cohort(
            stable=Answers(rows=one.stable.rows, wrong=one.stable.wrong),
            candidate=Answers(rows=one.candidate.rows, wrong=80.0 if place % 10 == 0 else 0.0),
        )
        for place, one in enumerate(calm)
    ]
    assert quality.phi(quality.wrong(calm)) < 1.6
    assert quality.phi(quality.wrong(clumpy)) > 10


@hypothesis.given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), max_size=12), st.floats(0, 2))
def test_no_counts_break_it(rows: list[tuple[int, int, int, int]], tolerance: float) -> None:
    seen = [Cohort(stable=Answers(rows=a, wrong=b), candidate=Answers(rows=c, wrong=d, right=a)) for a, b, c, d in rows]
    found = quality.judge(seen, tolerance=tolerance, alpha=0.01)
    assert math.isfinite(found.log_evidence)
    quality.uneven(seen, alpha=0.01)


# what was counted


def series(kind: Kind, cohort: int, *samples: tuple[float, float], by: str = "c", pod: str = "p") -> cohorts.Series:
    return cohorts.Series(pod=pod, kind=kind, by=by, cohort=cohort, samples=[(T0 + at, value) for at, value in samples])


def counted(*added: cohorts.Series, until: float = 1000.0, changes: tuple[float, ...] = ()) -> list[Cohort]:
    book = cohorts.Book(LENGTH)
    for change in changes:
        book.changed(T0 + change)
    book.add(added)
    return list(book.cohorts(stable="s", candidate="c", since=T0, until=T0 + until))


FIRST = int(T0 // LENGTH) % 32


def test_a_cohort_counts_from_zero_through_restarts_and_scrapes_that_come_twice() -> None:
    rows = ((70.0, 5.0), (85.0, 9.0), (100.0, 2.0), (115.0, 4.0))
    [one, *_] = counted(series(Kind.ROWS, FIRST, *rows, rows[-1], rows[0]))
    assert (one.start, one.end, one.candidate.rows) == (T0, T0 + 100, 13.0)


def test_what_the_slot_of_the_ring_held_before_is_not_counted() -> None:
    old, new = ((10.0, 500.0), (40.0, 500.0)), ((70.0, 5.0), (115.0, 8.0))
    [one] = [one for one in counted(series(Kind.ROWS, FIRST, *old, *new)) if one.candidate.rows]
    assert one.candidate.rows == 8


def test_the_cohort_in_which_the_weight_changed_and_one_that_is_not_over_are_left_out() -> None:
    some = [series(Kind.ROWS, (FIRST + place) % 32, (place * 100 + 90.0, 7.0)) for place in range(6)]
    found = counted(*some, until=430.0, changes=(150.0,))
    assert [one.start - T0 for one in found] == [0, 200]


def test_labels_are_added_up_over_pods_and_a_pod_that_is_scraped_twice_counts_once() -> None:
    twice = msgspec.structs.replace(series(Kind.WRONG, FIRST, (100.0, 3.0), by="s"), target="other")
    [one] = counted(
        series(Kind.ROWS, FIRST, (90.0, 10.0), by="s", pod="a"),
        series(Kind.WRONG, FIRST, (100.0, 3.0), by="s", pod="a"),
        msgspec.structs.replace(twice, pod="a"),
        series(Kind.WRONG, FIRST, (100.0, 2.0), by="s", pod="b"),
        series(Kind.WRONG, FIRST, (100.0, 9.0), by="other", pod="b"),
    )
    assert (one.stable.rows, one.stable.wrong, one.candidate.wrong) == (10, 5, 0)


def test_memory_follows_the_ring() -> None:
    book = cohorts.Book(LENGTH)
    for place in range(500):
        book.add([series(Kind.ROWS, (FIRST + place) % 32, (place * 100 + 90.0, 7.0))])
    assert len(book._counts) <= 34


# outcomes

CONVERSION = spec.BusinessOutcome(name="conversion", event="converted")
ORDERS = spec.BusinessOutcome(
    name="orders",
    source=spec.OutcomeSource.PROMETHEUS,
    selector="orders_total",
    label="revision",
    delay=spec.Duration(seconds=120),
)


def converting(rate: float, *, stables: float = 0.1, seed: int = 0) -> list[Cohort]:
    return [
        Cohort(
            stable=Answers(rows=one.stable.rows, events={"converted": one.stable.wrong}),
            candidate=Answers(rows=one.candidate.rows, events={"converted": one.candidate.wrong}),
        )
        for one in labelled(rate, stables=stables, weight=0.5, rows=2000, seed=seed)
    ]


@pytest.mark.parametrize(
    ("better", "rate", "outcome"),
    [
        (spec.Better.MORE, 0.1, Outcome.PASS),
        (spec.Better.MORE, 0.15, Outcome.PASS),
        (spec.Better.MORE, 0.08, Outcome.FAIL),
        (spec.Better.LESS, 0.1, Outcome.PASS),
        (spec.Better.LESS, 0.08, Outcome.PASS),
        (spec.Better.LESS, 0.15, Outcome.FAIL),
    ],
)
def test_of_conversions_fewer_are_worse_and_of_complaints_more(
    better: spec.Better, rate: float, outcome: Outcome
) -> None:
    wish = spec.BusinessOutcome(name="conversion", event="converted", better=better)
    found = outcomes.of_events(wish, converting(rate), alpha=0.01, count=1)
    assert found.outcome is outcome
    assert found.bound == pytest.approx(1000)
    assert (found.candidate.events < found.stable.events) == (rate < 0.1) or rate == 0.1


def test_the_sentence_of_a_conversion_says_how_much_of_it_is_left_at_most() -> None:
    found = outcomes.of_events(CONVERSION, converting(0.07), alpha=0.01, count=2)
    said = explain.metric_sentence(found, seconds=600)
    assert "at most 0." in said
    assert "bound 2000" in said


def shop(rate: float, *, delay: float = 120.0, seed: int = 0) -> tuple[list[outcomes.Growth], list[Slot]]:
    """Orders follow requests after a while, with a restart of the shop in between; requests swing."""
    random = np.random.default_rng(seed)
    slots, totals, samples = [], {"s": 0.0, "c": 0.0}, {"s": [(T0 - 15, 0.0)], "c": [(T0 - 15, 0.0)]}
    requests = [
        (int(3000 + 2000 * math.sin(place / 9)), int(3000 + 2000 * math.sin(place / 9))) for place in range(160)
    ]
    for ours, theirs in requests:
        slots.append(Slot(seconds=15.0, stable=ArmCounts(requests=ours), candidate=ArmCounts(requests=theirs)))
    for place in range(170):
        back = place - int(delay // 15)
        for revision, arm, share in (("s", 0, 0.02), ("c", 1, rate)):
            if 0 <= back < len(requests):
                totals[revision] += random.binomial(requests[back][arm], share)
            if place == 80:
                totals[revision] = 0.0
            samples[revision].append((T0 + 15 * (place + 1), totals[revision]))
    return [outcomes.Growth(revision, found) for revision, found in samples.items()], slots


@pytest.mark.parametrize(("rate", "outcome"), [(0.02, Outcome.PASS), (0.012, Outcome.FAIL)])
def test_a_shops_own_counter_is_held_against_the_requests_before_it(rate: float, outcome: Outcome) -> None:
    grown, slots = shop(rate)
    found = outcomes.of_counters(
        ORDERS, grown, slots, since=T0, until=T0 + 2500, revisions=("s", "c"), alpha=0.01, count=1
    )
    assert found.outcome is outcome
    assert found.stable.share == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -5.0])
def test_a_sample_that_no_counter_has_is_as_if_absent(odd: float) -> None:
    grown, slots = shop(0.012)
    spoilt = [
        outcomes.Growth(one.revision, [*one.samples[:50], (one.samples[50][0], odd), *one.samples[51:]])
        for one in grown
    ]
    found = outcomes.of_counters(
        ORDERS, spoilt, slots, since=T0, until=T0 + 2500, revisions=("s", "c"), alpha=0.01, count=1
    )
    assert found.outcome is Outcome.FAIL
    assert found.stable.share == pytest.approx(0.02, rel=0.1)
    [one, *_] = counted(series(Kind.ROWS, FIRST, (70.0, 5.0), (85.0, odd), (100.0, 9.0)))
    assert one.candidate.rows == 9


def test_a_counter_that_is_not_there_says_nothing() -> None:
    _, slots = shop(0.02)
    found = outcomes.of_counters(
        ORDERS, [], slots, since=T0, until=T0 + 2500, revisions=("s", "c"), alpha=0.01, count=1
    )
    assert found.outcome is Outcome.NO_DATA


def test_what_answers_brought_has_an_interval_that_holds_at_all_times() -> None:
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(100):
        values = np.where(random.random(20_000) < 0.1, random.lognormal(2, 1, 20_000), 0)
        truth = 0.1 * math.exp(2.5)
        seen = [
            outcomes.revenue([Answers(rows=n, value=values[:n].sum(), squared=(values[:n] ** 2).sum())])
            for n in range(500, 20_001, 500)
        ]
        missed += any(abs(one.mean - truth) > one.reach for one in seen)
    assert missed <= 8
    assert seen[-1].reach < truth / 3


def test_nothing_is_said_of_values_that_nobody_sent() -> None:
    assert outcomes.words(labelled(0.08)) == ""
    seen = [Cohort(stable=Answers(rows=9, value=90, squared=900), candidate=Answers(rows=9, value=45, squared=225))]
    assert outcomes.words(seen).startswith("value: candidate 5 +- ")
