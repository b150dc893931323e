"""What is kept and what it is held against: profiles, accepted references, hours of an object, a memory as bytes."""

import contextlib
import json
import zlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit import edits
from tests.unit.drift import build

from seatrial.drift import acceptance, columns, kept, policy, profile, schedule, watch
from seatrial.rollout import drifting

POLICY = policy.Policy()
INCOME = build.numbers("income")
HIGH = (5, *(0,) * 5, *(100,) * 6, 15)
BEGIN = 490_896


def shifted(days=3):
    """A memory of a column that lies elsewhere than its reference."""
    memory, judged = build.days(
        watch.EMPTY, INCOME, [2 * part for part in HIGH], begin=BEGIN, count=days, policy=POLICY
    )
    assert judged[-1].outcome == "Drifted"
    return memory


def test_a_memory_comes_back_as_it_was():
    memory = shifted()
    accepted = kept.Accepted(token="t", at=datetime(2026, 1, 1, tzinfo=UTC), references=())
    content = kept.pack(memory, revision="r", hour=3600, accepted=accepted)
    again, found = kept.unpack(content, [INCOME], revision="r", hour=3600)
    assert found == accepted
    assert kept.pack(again, revision="r", hour=3600, accepted=accepted) == content
    assert kept.at(again) == kept.at(memory) == BEGIN + 71


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "other"},
        {"hour": 5},
        {"columns": [build.numbers("age")]},
        {"columns": [build.categories("income", shares={"a": 1.0})]},
    ],
    ids=str,
)
def test_a_memory_of_something_else_is_none(changes):
    content = kept.pack(shifted(), revision="r", hour=3600, accepted=None)
    with pytest.raises(kept.Unreadable):
        kept.unpack(content, **{"columns": [INCOME], "revision": "r", "hour": 3600, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"bound": 0}, {"bound": -1.5}, {"since": 2**62}, {"window": 10**9}, {"window": 0}, {"rows": -1}],
    ids=str,
)
def test_an_alarm_with_figures_that_no_test_has_makes_a_memory_unreadable(changes):
    document = json.loads(zlib.decompress(kept.pack(shifted(), revision="r", hour=3600, accepted=None)))
    document["state"]["alarms"][0] |= changes
    with pytest.raises(kept.Unreadable):
        kept.unpack(zlib.compress(json.dumps(document).encode()), [INCOME], revision="r", hour=3600)


ODD = [None, -1, 0, 1e308, 2**53, 2**62, 10**30, 0.5, 1e-300, "x", [], {}, True]
PLAIN = zlib.decompress(kept.pack(shifted(), revision="r", hour=3600, accepted=None))


@example(chosen=[(("state", "columns", "income", "at"), 2**53), (("state", "columns", "income", "hours", 0, 0), 2**53)])
@settings(max_examples=300, deadline=None)
@given(
    chosen=st.lists(st.tuples(st.sampled_from(list(edits.places(json.loads(PLAIN)))), st.sampled_from(ODD)), min_size=1)
)
def test_no_edit_of_a_memory_ends_the_watch(chosen):
    """It is unreadable, or it is judged, said and kept as any other."""
    document = edits.made(json.loads(PLAIN), chosen)
    try:
        memory, _ = kept.unpack(zlib.compress(json.dumps(document).encode()), [INCOME], revision="r", hour=3600)
    except kept.Unreadable:
        return
    memory, judged = watch.judge(memory, columns=[INCOME], policy=POLICY)
    hours = schedule.Hours.of("u")
    said = drifting.found(judged, hours, filled=True, accepted=None, lacking="")
    now = datetime(2026, 1, 5, tzinfo=UTC)
    status = drifting.written(None, said, revision="r", now=now, accepted_at=None)
    assert msgspec.convert(msgspec.to_builtins(status), type(status)) == status
    hour = watch.Hour(at=(kept.at(memory) or 0) + 1, pods=(), ready=2)
    memory, _ = watch.after(memory, hour, columns=[INCOME], policy=POLICY)
    with contextlib.suppress(kept.Unreadable):
        kept.pack(memory, revision="r", hour=3600, accepted=None)


def test_bytes_without_end_are_not_unpacked():
    with pytest.raises(kept.Unreadable, match="too long"):
        kept.unpack(zlib.compress(b" " * (kept.MOST_PLAIN + 1)), [INCOME], revision="r", hour=3600)


def test_accepted_shares_are_the_reference_and_do_not_alarm():
    memory, [reference] = acceptance.accept(shifted(), [INCOME], POLICY)
    assert memory.alarms == {}
    assert sum(reference.shares) == pytest.approx(1)
    [held] = acceptance.in_force([INCOME], [reference])
    columns.check(held)
    _, judged = build.days(memory, held, [2 * part for part in HIGH], begin=BEGIN + 72, count=8, policy=POLICY)
    assert {one.outcome for one in judged} == {"Clean"}


def test_refused_rows_are_part_of_what_is_accepted():
    refused = {"income": {"Missing": 300, "OutOfRange": 100}}
    memory, _ = build.days(
        watch.EMPTY, INCOME, (0, 0, *(100,) * 10, 0), begin=BEGIN, count=2, policy=POLICY, refused=refused
    )
    memory, [reference] = acceptance.accept(memory, [INCOME], POLICY)
    assert reference.shares[0] == pytest.approx(600 / 1800, abs=1e-6)
    assert reference.shares[-1] == pytest.approx(200 / 1800, abs=1e-6)


def test_what_does_not_alarm_is_not_accepted():
    memory, _ = build.days(watch.EMPTY, INCOME, (0, 0, *(100,) * 10, 0), begin=BEGIN, count=2, policy=POLICY)
    same, found = acceptance.accept(memory, [INCOME], POLICY)
    assert (same, found) == (memory, ())


def test_an_accepted_reference_of_other_bins_is_left_out():
    other = acceptance.Reference("income", (0.5, 0.5), 10)
    assert acceptance.in_force([INCOME], [other]) == (INCOME,)


def test_a_prediction_with_the_name_of_a_feature_is_told_apart():
    score = build.numbers("score")
    found = profile.columns(msgspec.json.encode([score, msgspec.structs.replace(score, kind=columns.Kind.PREDICTION)]))
    assert [one.name for one in found] == ["score", "score (output)"]
    assert {columns.labelled(one) for one in found} == {"score"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "no reference rows"),
        ([{"rows": 0}], "older release"),
        ([msgspec.to_builtins(INCOME)] * 2, "two columns"),
        ([{**msgspec.to_builtins(INCOME), "reference": [1.0]}], "13 shares"),
        ([msgspec.to_builtins(INCOME)] * 200, "200 columns"),
        ({"a": 1}, "can't be used"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_in_words(told, words):
    with pytest.raises(profile.Unusable, match=words):
        profile.columns(json.dumps(told).encode())


def test_objects_are_spread_over_the_hour():
    offsets = [schedule.Hours.of(f"uid-{number}").offset for number in range(1000)]
    by_minute = [sum(offset // 60 == minute for offset in offsets) for minute in range(60)]
    assert max(by_minute) <= 40


@pytest.mark.parametrize("seconds", [3600, 5])
def test_an_hour_is_asked_for_once_it_has_settled(seconds):
    hours = schedule.Hours.of("uid", seconds)
    end = hours.end(1000)
    assert hours.newest(end + hours.settle - 0.01) == 999
    assert hours.newest(end + hours.settle + 0.01) == 1000
    assert hours.due_in(end + hours.settle + 0.01) == pytest.approx(seconds - 0.01)
