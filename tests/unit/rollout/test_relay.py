"""Provider Relay: what stable's pods are told to pass on, and when that is in force."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout.relayed import LEASE, ONE, TAKEN_BACK, TWO, canary, given, reporting, servers, snapshot, told

from seatrial.api.spec import Duration, Provider
from seatrial.api.status import Reason, Status
from seatrial.rollout import facts, names, traffic
from seatrial.rollout.rules import step as steps
from seatrial.rollout.traffic import assignment, relay

# what is asked


def test_each_stable_pod_is_told_the_share_and_the_candidates_ready_pods():
    seen = snapshot(
        *servers("1", "", ""), *servers("2", "", ""), *servers("3", ""), *servers("2", "", name="late", ready=False)
    )
    found = told(seen)
    assert found.keys() == {"v1-0", "v1-1"}
    assert found["v1-0"] == found["v1-1"] == {
        "deployment": "shop/churn",
        "revision": TWO,
        "to": ["10.0.2.0", "10.0.2.1"],
        "weight": 10.0,
        "until": "2026-01-01T12:02:00Z",
        "token": assignment.token(build.OWNER),
    }  # fmt: skip


def test_what_the_spec_says_of_the_relay_is_passed_on_as_the_server_reads_it():
    wish = {"sticky": "x-user-id", "cover": False, "cover_after": Duration.parse("300ms"), "trust_client_choice": True}
    found = told(snapshot(status=canary(shadow=30), **wish))["v1-0"]
    extra = {key: found[key] for key in ("sticky", "cover", "coverAfter", "shadow", "trustClientChoice")}
    assert extra == {
        "sticky": "x-user-id",
        "cover": False,
        "coverAfter": 0.3,
        "shadow": 30.0,
        "trustClientChoice": True,
    }


def test_copies_are_asked_for_before_anybody_gets_an_answer():
    found = told(snapshot(status=canary(weight=0, shadow=20)))["v1-0"]
    assert (found["weight"], found["shadow"]) == (0.0, 20.0)


def test_targets_are_bounded_and_always_the_same_ones():
    pods = tuple(
        facts.Pod(name=f"v2-{one}", revision=TWO, ip=f"10.1.{one % 7}.{one}", ready=True) for one in range(300)
    )
    found = told(snapshot(*servers("1", ""), *pods))["v1-0"]["to"]
    assert len(found) == assignment.MOST_TARGETS
    assert found == told(snapshot(*servers("1", ""), *reversed(pods)))["v1-0"]["to"]


def test_the_longest_assignment_fits_into_what_a_server_reads():
    pods = tuple(
        facts.Pod(name=f"v2-{one}", revision=TWO, ip=f"2001:db8:1234:5678:9abc:def0:1234:{one:04x}", ready=True)
        for one in range(300)
    )
    [change] = relay.assignments(snapshot(*servers("1", ""), *pods, sticky="s" * 64), canary(), build.at(0))
    assert len(change.text) < 16 * 1024


def test_the_token_is_that_of_the_deployment_and_of_no_other():
    other = msgspec.structs.replace(build.OWNER, uid="v")
    assert assignment.token(build.OWNER) == assignment.token(build.OWNER) != assignment.token(other)
    assert build.OWNER.uid not in assignment.token(build.OWNER)


def test_with_another_provider_nobody_is_told_anything():
    seen = msgspec.structs.replace(snapshot(), provider=Provider.SERVICE)
    assert told(seen) == {}
    assert relay.passing_on(seen, canary(), build.at(0))[1] is not None, "what was given before is taken back"


def test_without_a_ready_candidate_pod_everything_is_kept():
    text = given(snapshot()).pods[0].assignment
    assert told(snapshot(*servers("1", text), *servers("2", "", ready=False))) == {"v1-0": None}


# lease


@pytest.mark.parametrize(("seconds", "writes"), [(0, False), (LEASE / 2 - 1, False), (LEASE / 2, True), (LEASE, True)])
def test_a_lease_is_renewed_when_half_of_it_is_over_and_nothing_is_written_before(seconds, writes):
    assert bool(told(given(snapshot()), now=seconds)) is writes


@pytest.mark.parametrize("seconds", [0, 10, 59, 61])
def test_the_next_look_is_early_enough_to_renew(seconds):
    seen = given(snapshot())
    again = relay.look_again(seen, seen.status, build.at(seconds))
    assert again is not None
    assert timedelta(0) < again <= assignment.LEASE / 2
    later = seconds + again.total_seconds()
    assert told(given(seen, now=seconds), now=later)


EDITS = {
    "taken away": lambda text: "",
    "spoilt": lambda text: "{",
    "more weight": lambda text: text.replace('"weight":10', '"weight":90'),
    "another target": lambda text: text.replace("10.0.2.0", "10.9.9.9"),
    "another field": lambda text: text.replace("{", '{"extra":1,', 1),
    "an end far away": lambda text: text.replace("12:02", "22:02"),
    "an end without a zone": lambda text: text.replace("Z", ""),
    "no time at all": lambda text: text.replace("2026", "soon"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_somebody_has_edited_is_put_right(edit):
    seen = given(snapshot())
    text = EDITS[edit](seen.pods[0].assignment)
    pods = (msgspec.structs.replace(seen.pods[0], assignment=text), *seen.pods[1:])
    found = told(msgspec.structs.replace(seen, pods=pods))
    assert found.keys() == {"v1-0"}
    assert found["v1-0"]["weight"] == 10.0


# telling again


@pytest.mark.parametrize(
    ("report", "writes"),
    [
        pytest.param({"ratio": {}, "at": 1}, False, id="there was no time to follow"),
        pytest.param({"ratio": {}, "at": 2}, True, id="never heard of it"),
        pytest.param({"ratio": {TWO: 0.05}, "at": 2}, True, id="has another share"),
        pytest.param({"ratio": {TWO: 0.1}, "at": 2}, False, id="follows"),
    ],
)
def test_a_pod_that_does_not_follow_is_told_again_with_another_lease(report, writes):
    seen = reporting(given(snapshot()), **report)
    assert bool(told(seen, now=3)) is writes


@pytest.mark.parametrize(("seconds", "blanks"), [(0.5, 0), (1, 1), (2, 2), (3, 2), (4, 3), (8, 4), (100, 7)])
def test_a_pod_that_goes_on_after_it_was_told_to_stop_is_told_again_in_blanks_ever_more_rarely(seconds, blanks):
    """The annotation is gone by then, and only another change makes a kubelet look."""
    seen = reporting(snapshot(status=TAKEN_BACK), ratio={TWO: 0.1}, at=seconds)
    found = {one.pod: one.text for one in relay.assignments(seen, TAKEN_BACK, build.at(seconds))}
    assert found == ({"v1-0": " " * blanks, "v1-1": " " * blanks, "v2-0": " " * blanks} if blanks else {})
    again = relay.look_again(seen, TAKEN_BACK, build.at(seconds))
    assert timedelta(0) < again <= relay.ASKED_AGAIN


def test_blanks_are_written_once_and_go_when_everybody_has_stopped():
    seen = snapshot(*servers("1", "  ", "  "), *servers("2", ""), status=TAKEN_BACK)
    going_on = reporting(seen, ratio={TWO: 0.1}, at=2)
    assert relay.assignments(going_on, TAKEN_BACK, build.at(2)) == relay.assignments(going_on, TAKEN_BACK, build.at(3))
    assert told(reporting(seen, ratio={TWO: 0.0}, at=2), now=2, after=TAKEN_BACK) == {"v1-0": None, "v1-1": None}
    assert told(seen, after=Status(stable=build.STABLE)) == {"v1-0": None, "v1-1": None}


# in force


def test_the_selector_stays_on_stable_until_the_candidate_has_all_traffic():
    def selected(status: Status) -> str | None:
        [service] = traffic.objects(snapshot(status=status), status)
        return service["spec"]["selector"].get(names.REVISION)

    assert [selected(canary(weight=weight)) for weight in (0, 10, 50, 100)] == [ONE, ONE, ONE, TWO]


def test_without_a_stable_pod_a_candidate_with_a_share_answers():
    lone = (*servers("1", "", ready=False), *servers("2", ""))
    [service] = traffic.objects(snapshot(*lone), canary())
    assert names.REVISION not in service["spec"]["selector"]
    [service] = traffic.objects(snapshot(*lone, status=canary(weight=0, shadow=20)), canary(weight=0, shadow=20))
    assert service["spec"]["selector"][names.REVISION] == ONE


def test_a_share_is_in_force_when_every_stable_pod_is_told_and_none_denies_it():
    seen = given(snapshot())
    assert not traffic.in_force(snapshot(), canary())
    assert traffic.in_force(seen, canary())
    assert traffic.in_force(reporting(seen, 1, ratio={TWO: 0.1}), canary())
    assert not traffic.in_force(reporting(seen, 1, ratio={}), canary())
    assert not traffic.in_force(reporting(seen, 1, ratio={TWO: 0.5}), canary())
    assert traffic.routed(seen, canary()) == (True, "2 of 2 stable pods pass on 10% to 1 pods")


def test_a_step_does_not_end_while_its_share_is_not_in_force():
    look = build.look("Pass", observed=timedelta(minutes=5), candidate_requests=1000)
    candidate = canary().candidate
    pods = {"pods": (*servers("1", "", ""), *servers("2", "")), "endpoints": build.endpoints("1", v1=2)}
    case = build.case(candidate=candidate, look=look, provider=Provider.RELAY, **pods)
    found = steps.in_step(case)
    assert found is not None
    assert (found.reason, found.candidate.step) == (Reason.TRAFFIC_NOT_ROUTED, 1)
    told_ = given(case.snapshot).pods
    found = steps.in_step(
        build.case(candidate=candidate, look=look, provider=Provider.RELAY, **{**pods, "pods": told_})
    )
    assert found is not None
    assert found.candidate.step == 2


@pytest.mark.parametrize(
    ("weight", "shadow", "replicas", "pods"),
    [
        (0, 10, 2, 1),
        (10, 0, 2, 1),
        (10, 0, 20, 2),
        (50, 0, 3, 2),
        (50, 50, 4, 3),
        (0, 100, 3, 3),
        (100, 0, 5, 5),
        (1, 0, 500, 5),
    ],
)
def test_the_candidate_has_its_part_of_stables_capacity(weight, shadow, replicas, pods):
    assert traffic.pods_needed(weight, replicas, provider=Provider.RELAY, shadow=shadow) == pods
