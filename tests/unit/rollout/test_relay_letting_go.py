"""Provider Relay: when nobody passes anything on to a revision any more."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout.relayed import TAKEN_BACK, TWO, canary, given, gone, reporting, servers, snapshot, told

from seatrial.api.spec import Provider
from seatrial.api.status import Status
from seatrial.api.status import Traffic as TrafficStatus
from seatrial.rollout import facts, traffic
from seatrial.rollout.traffic import relay


def test_assignments_end_with_the_candidate_and_ends_come_before_beginnings():
    text = given(snapshot()).pods[0].assignment
    seen = snapshot(*servers("1", text, text), *servers("2", text))
    assert told(seen, after=gone()) == {"v1-0": None, "v1-1": None, "v2-0": None}
    changes = relay.assignments(snapshot(*servers("1", ""), *servers("2", text)), canary(), build.at(0))
    assert [one.text is None for one in changes] == [True, False]


def test_a_pod_that_leaves_is_not_told_again_but_told_to_stop():
    text = given(snapshot()).pods[0].assignment
    seen = snapshot(*servers("1", text, leaving=True), *servers("2", ""))
    assert told(seen, now=100) == {}
    assert told(seen, after=gone()) == {"v1-0": None}
    assert told(snapshot(*servers("1", text, leaving=True, failed=True)), after=gone()) == {}


def test_a_promoted_version_is_passed_on_to_by_nobody():
    text = given(snapshot()).pods[0].assignment
    promoted = Status(stable=build.stable("2"), traffic=TrafficStatus(relayed=TWO))
    assert told(snapshot(*servers("1", text), *servers("2", "")), after=promoted) == {"v1-0": None}


def let_go(seen: facts.Snapshot, *, now: float = 1, answered: bool = True) -> bool:
    return relay.let_go(seen, TWO, build.at(now), answered=answered)


def test_nobody_has_let_go_before_it_was_asked_for():
    assert not let_go(reporting(snapshot(status=canary()), ratio={TWO: 0.0}))


@pytest.mark.parametrize(
    ("report", "off", "drained"),
    [
        pytest.param({"ratio": {TWO: 0.0}}, True, True, id="says that it has stopped"),
        pytest.param({"ratio": {TWO: 0.0}, "in_flight": 1}, True, False, id="one is on its way"),
        pytest.param({"ratio": {TWO: 0.1}}, False, False, id="still passes on"),
        pytest.param({"ratio": {}}, False, False, id="hasn't told of it: it may be about to begin"),
        pytest.param({"ratio": {TWO: 0.0}, "at": -1}, False, False, id="said before it was asked for"),
    ],
)
def test_pods_are_believed_what_they_do(report, off, drained):
    seen = reporting(snapshot(status=TAKEN_BACK), **{"at": 1, **report})
    assert (let_go(seen, answered=False), let_go(seen)) == (off, drained)


def test_a_pod_that_never_told_of_an_assignment_is_believed_after_a_while():
    seen = snapshot(status=TAKEN_BACK)
    late = relay.UNTOLD.total_seconds()
    assert let_go(reporting(seen, late), now=late)
    assert not let_go(reporting(seen, late - 1), now=late)


def test_an_annotation_that_is_still_there_counts_whatever_the_server_says():
    text = given(snapshot()).pods[0].assignment
    assert not let_go(reporting(snapshot(*servers("1", text), status=TAKEN_BACK), 1, ratio={TWO: 0.0}))


@pytest.mark.parametrize(("seconds", "believed"), [(179, False), (180, True)])
def test_a_pod_that_can_not_be_asked_is_off_when_its_lease_is_over_by_the_slowest_clock(seconds, believed):
    assert let_go(snapshot(status=TAKEN_BACK), now=seconds) is believed


def test_pods_that_are_gone_or_have_ended_are_waited_for_by_nobody():
    assert let_go(snapshot(*servers("1", "", failed=True), *servers("2", ""), status=TAKEN_BACK))


def test_a_status_that_names_nobody_is_believed_unless_an_annotation_does():
    """An operator that knew no relay has written it."""
    assert let_go(snapshot(status=gone(relayed="")))
    text = given(snapshot()).pods[0].assignment
    assert not let_go(snapshot(*servers("1", text), status=gone(relayed="")))


def test_the_pods_of_a_candidate_stay_until_nobody_passes_on_to_them():
    seen = snapshot(status=TAKEN_BACK)
    assert not traffic.drained(seen, seen.status, TWO, build.at(1))
    assert traffic.drained(reporting(seen, 1, ratio={TWO: 0.0}), seen.status, TWO, build.at(1))


def test_a_change_of_the_provider_hides_no_pod_that_still_passes_on():
    seen = msgspec.structs.replace(snapshot(status=TAKEN_BACK), provider=Provider.SERVICE)
    assert not traffic.off(seen, TWO, build.at(1))
    assert not traffic.drained(seen, seen.status, TWO, build.at(1))


def test_status_says_who_is_passed_on_to_and_since_when_no_longer():
    assert relay.passing_on(snapshot(), canary(), build.at(5)) == (TWO, None)
    assert relay.passing_on(snapshot(), gone(), build.at(5)) == (TWO, build.at(5))
    assert relay.passing_on(snapshot(status=TAKEN_BACK), gone(), build.at(5)) == (TWO, build.at(0))
    done = reporting(snapshot(status=TAKEN_BACK), 1, ratio={TWO: 0.0})
    assert relay.passing_on(done, gone(), build.at(5)) == ("", None)
