"""Days of labels as a value: kept on file, judged in windows, told until it is over. And what a trial promised."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import edits

from seatrial.analysis import promised, quality_after, quality_course
from seatrial.analysis.quality_after import Against, Day
from seatrial.analysis.quality_course import Memory, Numbered
from seatrial.rollout import quality

POLICY = quality_course.Policy(most=1.0, tolerance=0.1, rate=0.05, holdout=(2000, 160))
GOOD, BAD = Day(4000, 2000, 160), Day(4000, 2000, 700)


def course(*days: Day, policy: quality_course.Policy = POLICY) -> tuple[Memory, list[bool]]:
    """The memory after these days, and at the end of which of them it alarmed."""
    memory, alarms = Memory(), list[bool]()
    for number, day in enumerate(days):
        known = quality_course.by_number(memory) | {number: day}
        memory, _ = quality_course.judged(quality_course.with_days(memory, known, until=number), number, policy)
        alarms.append(memory.alarm is not None)
    return memory, alarms


def test_an_alarm_stands_until_a_whole_week_was_within_the_limit_and_days_before_raise_none_again() -> None:
    _, alarms = course(*[GOOD] * 10, BAD, *[GOOD] * 12)
    assert alarms.index(True) == 10
    assert alarms.index(False, 10) == 17
    assert not any(alarms[17:])


def test_what_alarms_after_that_is_a_new_alarm() -> None:
    memory, alarms = course(*[GOOD] * 10, BAD, *[GOOD] * 12, *[BAD] * 3)
    assert alarms[-1]
    assert memory.alarm_since is not None
    assert memory.alarm_since >= 23


def test_a_version_that_gets_slowly_worse_is_held_to_its_first_weeks_and_not_to_the_last_ones() -> None:
    slowly = [Day(4000, 2000, 160 + 6 * day) for day in range(60)]
    memory, alarms = course(*slowly, policy=msgspec.structs.replace(POLICY, holdout=None))
    assert alarms[-1]
    assert memory.alarm is not None
    assert memory.alarm.against is Against.FIRST_WEEKS


ODD = [None, -1, 0, 1e308, 2**40, 2**53, 0.5, 1e-300, "x", [], {}, True]
PLAIN = quality_course.pack(course(*[GOOD] * 20, *[BAD] * 5)[0], revision="r", day=86_400)


@settings(max_examples=200, deadline=None)
@given(
    chosen=st.lists(st.tuples(st.sampled_from(list(edits.places(json.loads(PLAIN)))), st.sampled_from(ODD)), min_size=1)
)
def test_no_edit_of_the_file_ends_the_watch(chosen: list[tuple[edits.Place, Any]]) -> None:
    """It is unreadable, or it is judged, said and kept as any other."""
    document = edits.made(json.loads(PLAIN), chosen)
    try:
        memory = quality_course.unpack(json.dumps(document).encode(), revision="r", day=86_400)
    except quality_course.Unreadable:
        return
    after, standing = quality_course.judged(memory, 26, POLICY)
    now, day = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
    for one in (memory.alarm, standing):
        if one is not None:
            said = quality.found(one, alarm=True, estimated=None, day=day)
            found = quality.written(None, said, revision="r", now=now, until=now, day=day)
            assert msgspec.convert(msgspec.to_builtins(found), type(found)) == found
    assert (
        quality_course.unpack(quality_course.pack(after, revision="r", day=86_400), revision="r", day=86_400) == after
    )


def test_days_that_are_missing_are_days_without_labels() -> None:
    memory = Memory(days=(Numbered(1, 10, 5, 1), Numbered(4, 20, 5, 1)))
    assert quality_course.whole(memory, 5) == [Day(10, 5, 1), *[Day(0, 0, 0)] * 2, Day(20, 5, 1), Day(0, 0, 0)]
    assert quality_course.whole(memory, 0) == []


def test_it_is_on_file_as_it_was_and_bounded() -> None:
    memory, _ = course(*[GOOD] * 10, BAD)
    content = quality_course.pack(memory, revision="r1", day=86400)
    assert quality_course.unpack(content, revision="r1", day=86400) == memory
    long, _ = course(*[GOOD] * 200)
    assert len(long.days) == quality_course.MOST_DAYS
    assert len(quality_course.pack(long, revision="r" * 10, day=86400)) < 8192


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"version":2,"revision":"r1","day":86400,"memory":{}}',
        b'{"version":1,"revision":"r2","day":86400,"memory":{}}',
        b'{"version":1,"revision":"r1","day":60,"memory":{}}',
        b'{"version":1,"revision":"r1","day":86400,"memory":{"days":[[0,-1,0,0]]}}',
        b'{"version":1,"revision":"r1","day":86400,"memory":{"days":[[0,1e999,0,0]]}}',
        b'{"version":1,"revision":"r1","day":86400,"memory":{"until":"soon"}}',
    ],
    ids=[
        "nothing",
        "empty",
        "deep",
        "another release",
        "another revision",
        "another clock",
        "negative",
        "endless",
        "text",
    ],
)
def test_a_file_that_is_not_ours_is_refused(content: bytes) -> None:
    with pytest.raises(quality_course.Unreadable):
        quality_course.unpack(content, revision="r1", day=86400)


def test_a_holiday_is_missing_where_its_weekday_has_labels_and_a_weekend_is_not() -> None:
    working, free = Day(4000, 2000, 160), Day(4000, 0, 0)
    week = [*[working] * 5, free, free]
    assert quality_after.missing([*week, *week]) == ""
    assert quality_after.missing([*week, free]).startswith("labels came for 0.0%")
    assert quality_after.missing([*[working] * 4, free, free, free]) == ""
    assert quality_after.missing([*[working] * 2, *[free] * 4]) != ""


def test_of_a_few_rows_no_label_is_missing() -> None:
    assert quality_after.missing([*[Day(4000, 2000, 160)] * 8, Day(10, 0, 0)]) == ""


# what a trial promised

BINS = b'{"output":"p","rows":[0,0,0,0,0,0,0,0,10,10],"right":[0,0,0,0,0,0,0,0,8,10]}'
EVALUATION = (
    b'[{"name":"holdout","metric":"auc","value":1,"rows":9},'
    b'{"name":"holdout","metric":"accuracy","value":0.9,"rows":20}]'
)


def test_a_report_tells_how_often_the_holdout_was_wrong_and_by_confidence() -> None:
    found = promised.read(EVALUATION, BINS)
    assert found.holdout == (20, 2)
    assert found.confidence is not None
    assert found.confidence.right[-2:] == (8, 10)


@pytest.mark.parametrize(
    ("evaluation", "bins"),
    [
        (b"[]", b"null"),
        (b"{}", b"[]"),
        (b'[{"name":"holdout","metric":"accuracy","value":7,"rows":20}]', BINS.replace(b'"right":[0', b'"right":[1')),
        (b'[{"name":"holdout","metric":"accuracy","value":0.9,"rows":-1}]', BINS.replace(b"[0,0,", b"[0,")),
        (b'[{"name":"holdout","metric":"accuracy","value":0.9,"rows":20,"slice":"region=eu"}]', b'{"output":1}'),
        (b"[" * 100_000, b"[" * 100_000),
    ],
    ids=["none", "of another kind", "impossible", "negative or short", "a slice", "deep"],
)
def test_what_cannot_be_used_of_a_report_is_not_there(evaluation: bytes, bins: bytes) -> None:
    assert promised.read(evaluation, bins) == promised.Promise()
