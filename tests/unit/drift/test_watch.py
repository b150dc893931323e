"""A deployment watched hour by hour: what alarms, what only may, when an alarm ends, what a gap does."""

import re

import msgspec
import numpy as np
import pytest
from tests.unit.drift import build

from seatrial.api.values import Ratio
from seatrial.drift import columns, course, policy, stored, tests, watch, windows
from seatrial.drift import words as said
from seatrial.drift.judgement import Outcome, Reason
from seatrial.drift.season import Season
from seatrial.drift.tests import Question

POLICY = policy.Policy(season=Season.DAY)
EVEN = build.spread([100] * 10)
HIGHER = build.spread([40, 40, 40, 40, 100, 100, 160, 160, 160, 160])
QUIET_DAYS = 3


def watched(rows, *, column=None, count=2, policy=POLICY, refused=None):
    """Quiet days, then days of these counts."""
    column = column or build.numbers()
    memory, _ = build.days(watch.EMPTY, column, EVEN, begin=0, count=QUIET_DAYS, policy=policy)
    return build.days(memory, column, rows, begin=QUIET_DAYS * 24, count=count, policy=policy, refused=refused)


def test_traffic_like_the_reference_is_clean():
    _, judgements = watched(EVEN)
    assert {(one.outcome, one.reason, one.message) for one in judgements} == {
        (Outcome.CLEAN, Reason.NO_DRIFT, "no drift found")
    }


def test_a_moved_feature_is_told_in_words_of_its_values():
    _, judgements = watched(HIGHER, count=1)
    assert (judgements[-1].outcome, judgements[-1].reason) == (Outcome.DRIFTED, Reason.FEATURE_DRIFT)
    assert re.fullmatch(
        r"drift: income: 83% of 24000 rows above 40000 \(reference 60%, tolerated 70%\) over 1 day; "
        r"evidence 10\^\d+ >= bound 1.2e\+06; phi 1.1",
        judgements[-1].message,
    )


def test_suspicion_comes_before_the_alarm():
    _, judgements = watched(build.spread([7, 7, 7, 7, 10, 10, 13, 13, 13, 13]), count=6)
    outcomes = [one.outcome for one in judgements]
    assert outcomes[0] is Outcome.CLEAN
    assert outcomes.index(Outcome.SUSPECTED) < outcomes.index(Outcome.DRIFTED)


@pytest.mark.parametrize(
    ("rows", "refused", "question", "where"),
    [
        pytest.param(build.spread([94] * 10, missing=60), None, Question.MISSING, "missing", id="missing"),
        pytest.param(
            build.spread([94] * 10, above=60), None, Question.OUTSIDE, "below 0 or above 100000", id="outside"
        ),
        pytest.param(EVEN, {"income": {"Missing": 30}}, Question.MISSING, "missing", id="refused as missing"),
        pytest.param(
            EVEN, {"income": {"OutOfRange": 30}}, Question.OUTSIDE, "below 0 or above 100000", id="refused as outside"
        ),
    ],
)
def test_bad_values_are_told_apart_from_a_changed_world(rows, refused, question, where):
    _, judgements = watched(rows, refused=refused)
    assert judgements[-1].reason is Reason.INVALID_DATA
    assert [(one.test, one.where) for one in judgements[-1].columns] == [(question, where)]


def test_half_of_an_hours_values_missing_alarm_within_the_hour():
    _, judgements = watched(build.spread([50] * 10, missing=500), count=1)
    assert judgements[0].reason is Reason.INVALID_DATA
    assert "over 1 hour" in judgements[0].message


def test_a_changed_answer_is_a_prediction_drift():
    column = build.numbers("score", kind=columns.Kind.PREDICTION)
    _, judgements = watched(HIGHER, column=column)
    assert judgements[-1].reason is Reason.PREDICTION_DRIFT


def test_an_ignored_column_is_not_judged():
    _, judgements = watched(HIGHER, policy=policy.Policy(season=Season.DAY, ignore=("income",)))
    assert {one.outcome for one in judgements} == {Outcome.UNKNOWN}


@pytest.mark.long
def test_an_alarm_stands_until_a_calm_season_and_does_not_come_back_by_what_was_before():
    column = build.numbers()
    memory, _ = watched(HIGHER, column=column, count=2)
    memory, after = build.days(memory, column, EVEN, begin=5 * 24, count=30, policy=POLICY)
    outcomes = [one.outcome for one in after]
    ended = outcomes.index(Outcome.CLEAN)
    assert 12 <= ended < 24
    assert set(outcomes[:ended]) == {Outcome.DRIFTED}
    assert set(outcomes[ended:]) == {Outcome.CLEAN}


def test_a_second_change_after_a_calm_season_alarms_again():
    column = build.numbers()
    memory, _ = watched(HIGHER, column=column, count=2)
    memory, _ = build.days(memory, column, EVEN, begin=5 * 24, count=3, policy=POLICY)
    memory, again = build.days(memory, column, HIGHER, begin=8 * 24, count=2, policy=POLICY)
    assert again[-1].outcome is Outcome.DRIFTED
    assert again[-1].columns[0].since >= 8 * 24


def test_hours_in_which_few_pods_answered_are_gaps():
    column, memory = build.numbers(), watch.EMPTY
    for at in range(48):
        memory, judged = watch.after(
            memory, build.hour(at, {"income": HIGHER}, ready=2), columns=[column], policy=POLICY
        )
        assert (judged.outcome, judged.reason) == (Outcome.UNKNOWN, Reason.METRICS_UNAVAILABLE)


def test_a_day_with_three_lost_hours_is_not_judged_as_a_day():
    past = windows.begin(0, (3,))
    for at in range(24):
        past = windows.after(past, at, np.ones(3), seen=at not in (3, 4, 5))
    assert [window.hours for window in windows.of(past, Season.DAY)] == [1]


def test_hours_left_out_are_gaps_and_a_month_of_them_is_a_new_beginning():
    past = windows.after(windows.begin(0, (2,)), 0, np.ones(2), seen=True)
    later = windows.after(past, 30, np.ones(2), seen=True)
    assert (later.hours.sum(), later.days_seen.tolist()) == (2, [1])
    assert len(windows.after(past, 28 * 24 + 1, np.ones(2), seen=True).days) == 0


def test_windows_are_sums_of_the_past():
    past, random = windows.begin(0, (4,)), np.random.default_rng(2)
    rows = random.integers(0, 50, size=(28 * 24, 4)).astype(float)
    for at, row in enumerate(rows):
        past = windows.after(past, at, row, seen=True)
    found = {window.hours: window.counts.tolist() for window in windows.of(past, Season.AUTO)}
    assert found == {hours: rows[-hours:].sum(0).tolist() for hours in (1, 24, 48, 72, 120, 168, 336, 672)}


@pytest.mark.parametrize(
    ("season", "hours"),
    [(Season.AUTO, {1, 24, 48, 72, 120, 168}), (Season.WEEK, {1, 168})],
    ids=["Auto", "168h"],
)
def test_a_season_of_a_week_looks_at_whole_weeks_only(season, hours):
    past = windows.begin(0, (2,))
    for at in range(7 * 24):
        past = windows.after(past, at, np.ones(2), seen=True)
    assert {window.hours for window in windows.of(past, season)} == hours


WEEK = [build.spread([80] * 4 + [100] * 2 + [120] * 4)] * 5 + [build.spread([150] * 4 + [100] * 2 + [50] * 4)] * 2
"""Its days differ; as a whole it is as the reference."""


def weeks(memory, days, *, begin=0, shift=None):
    """One judgement for each day."""
    found = []
    for number in range(begin, begin + days):
        rows = shift or WEEK[number % 7]
        memory, judgements = build.days(
            memory, build.numbers(), rows, begin=number * 24, count=1, policy=policy.Policy()
        )
        found.append(judgements[-1])
    return memory, found


@pytest.mark.long
def test_weekends_need_no_setting():
    _, found = weeks(watch.EMPTY, 28)
    assert {one.outcome for one in found} == {Outcome.CLEAN}


@pytest.mark.long
def test_where_days_differ_an_alarm_ends_with_a_calm_week():
    memory, _ = weeks(watch.EMPTY, 21)
    memory, moved = weeks(memory, 7, begin=21, shift=build.spread([10] * 8 + [460] * 2))
    assert moved[-1].outcome is Outcome.DRIFTED
    _, after = weeks(memory, 14, begin=28)
    outcomes = [one.outcome for one in after]
    assert outcomes == [Outcome.DRIFTED] * 6 + [Outcome.CLEAN] * 8


def test_a_memory_survives_being_written():
    column = build.numbers()
    memory, _ = watched(HIGHER, column=column)
    text = msgspec.json.encode(stored.state(memory))
    again = stored.memory(msgspec.json.decode(text, type=stored.State), {"income": len(column.bins) + columns.REFUSED})
    begin = (QUIET_DAYS + 2) * 24
    _, one = build.days(memory, column, EVEN, begin=begin, count=1, policy=POLICY)
    _, other = build.days(again, column, EVEN, begin=begin, count=1, policy=POLICY)
    assert [judged.message for judged in one] == [judged.message for judged in other]


def test_the_order_of_categories_does_not_matter():
    shares = {"north": 0.5, "south": 0.3, "east": 0.15, "west": 0.05}
    found = []
    for names in (["north", "south", "east", "west"], ["west", "east", "north", "south"]):
        column = build.categories(shares={name: shares[name] for name in names})
        rows = {"north": 300, "south": 300, "east": 250, "west": 150}
        counts = np.array([0, 0, 0, *(rows[name] for name in names), 0, 0], float)
        asked = tests.of(column, POLICY)
        trace = course.after(course.begin(0, counts.shape), 0, counts[None], tests=asked, seen=True)
        found.append([float(look.log_evidence) for look in course.looks(trace, asked, of=Season.DAY)])
    assert found[0] == pytest.approx(found[1])


def test_a_constant_column_has_no_shape_to_lose():
    column = build.categories(shares={"only": 1.0})
    assert Question.SHAPE in {test.question for test in tests.of(column, POLICY)}
    single = build.numbers(shares=(1.0,), edges=())
    assert {test.question for test in tests.of(single, POLICY)} == {Question.MISSING, Question.OUTSIDE}


def test_few_reference_rows_are_said():
    column = build.numbers(rows=256)
    _, judgements = watched(build.spread([10, 10, 10, 10, 10, 10, 10, 10, 460, 460]), column=column)
    assert judgements[-1].message.endswith("wide margin: 256 reference rows")


def test_a_tolerance_of_the_user_counts():
    _, judgements = watched(HIGHER, policy=policy.Policy(season=Season.DAY, tolerance=Ratio(0.3)))
    assert judgements[-1].outcome is Outcome.CLEAN


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        pytest.param("1110000000", "below 30000", id="head"),
        pytest.param("0000000111", "above 70000", id="tail"),
        pytest.param("0010000000", "between 20000 and 30000", id="one"),
        pytest.param("1100000011", "below 20000 or above 80000", id="both ends"),
    ],
)
def test_sets_of_bins_are_said_by_their_edges(chosen, words):
    column = build.numbers()
    (shape, *_) = tests.of(column, POLICY)
    assert said.where(shape, np.array([float(one) for one in chosen]), column) == words


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        pytest.param("1000", "being north", id="one"),
        pytest.param("0111", "being south, east or other", id="few"),
    ],
)
def test_sets_of_categories_are_said_by_their_names(chosen, words):
    column = build.categories(shares={"north": 0.5, "south": 0.3, "east": 0.2})
    (shape, *_) = tests.of(column, POLICY)
    assert said.where(shape, np.array([float(one) for one in chosen]), column) == words


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        pytest.param((0, 0, 1, 0), "decided by c", id="one"),
        pytest.param((1, 1, 0, 0), "decided by a or b", id="two"),
    ],
)
def test_sets_of_attributions_are_said_by_the_features(chosen, words):
    column = build.attributions(shares={"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1})
    [shape] = tests.of(column, policy.Policy())
    picked = [float(name in "abcd" and chosen["abcd".index(name)]) for name in shape.names]
    assert said.where(shape, np.array(picked), column) == words


def test_of_many_features_the_others_are_named():
    column = build.attributions(shares=dict.fromkeys("abcdefghij", 0.1))
    [shape] = tests.of(column, policy.Policy())
    all_but_a = np.array([float(name != "a") for name in shape.names])
    assert said.where(shape, all_but_a, column) == "decided by another feature than a"
