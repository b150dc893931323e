"""Provider Relay: what stable's pods are told to pass on, when that is in force, when nobody follows it any more."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout import world as worlds

from seatrial.api.spec import (
    DEFAULT_STEPS,
    Disagreement,
    Duration,
    OnRegression,
    OnShift,
    Provider,
    Ratio,
    Step,
    Traffic,
)
from seatrial.api.status import Commands, Phase, Reason, Status, VerdictKind
from seatrial.api.status import Traffic as TrafficStatus
from seatrial.rollout import facts, names, planner, providing, templates, traffic
from seatrial.rollout.rules import guards, holding
from seatrial.rollout.rules import step as steps
from seatrial.rollout.traffic import assignment, relay

ONE, TWO = build.name_of("1"), build.name_of("2")
LEASE = assignment.LEASE.total_seconds()


def servers(version: str, *assignments: str, **changes: object) -> tuple[facts.Pod, ...]:
    """Ready pods with addresses, one for each assignment."""
    return tuple(
        facts.Pod(
            **{
                "name": f"v{version}-{number}",
                "uid": f"v{version}-{number}",
                "revision": build.name_of(version),
                "ip": f"10.0.{version}.{number}",
                "ready": True,
                "assignment": text,
                **changes,
            }
        )
        for number, text in enumerate(assignments)
    )


def snapshot(*pods: facts.Pod, status: Status | None = None, **wish: object) -> facts.Snapshot:
    """In step 1 at 10 % unless said otherwise; keywords are those of spec.rollout.traffic."""
    traffic_ = Traffic(**{"provider": Provider.RELAY, **wish})
    return build.snapshot(
        build.spec(traffic=traffic_),
        status=status or canary(),
        pods=pods or (*servers("1", "", ""), *servers("2", "")),
        provider=Provider.RELAY,
        endpoints=build.endpoints("1", v1=2),
    )


def canary(*, relayed: str = TWO, withdrawn_at: datetime | None = None, **changes: object) -> Status:
    return Status(
        stable=build.STABLE,
        candidate=build.in_step(**{"provider": Provider.RELAY, **changes}),
        traffic=TrafficStatus(provider="Relay", relayed=relayed, withdrawn_at=withdrawn_at),
    )


def gone(*, relayed: str = TWO, withdrawn_at: datetime | None = None) -> Status:
    """The candidate was rejected; what it was given is being taken back."""
    told = TrafficStatus(provider="Relay", relayed=relayed, withdrawn_at=withdrawn_at)
    return Status(stable=build.STABLE, traffic=told)


def told(seen: facts.Snapshot, *, now: float = 0, after: Status | None = None) -> dict[str, dict | None]:
    """What annotations become, by pod."""
    changes = relay.assignments(seen, after or seen.status, build.at(now))
    return {one.pod: None if one.text is None else json.loads(one.text) for one in changes}


def given(seen: facts.Snapshot, *, now: float = 0) -> facts.Snapshot:
    """With the annotations written."""
    texts = {one.pod: one.text or "" for one in relay.assignments(seen, seen.status, build.at(now))}
    pods = (msgspec.structs.replace(pod, assignment=texts.get(pod.name, pod.assignment)) for pod in seen.pods)
    return msgspec.structs.replace(seen, pods=tuple(pods))


def reporting(seen: facts.Snapshot, at: float = 0, **report: object) -> facts.Snapshot:
    """All pods say this."""
    said = facts.RelayReport(at=build.at(at), **report)
    return msgspec.structs.replace(seen, pods=tuple(msgspec.structs.replace(pod, relay=said) for pod in seen.pods))


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


# taking back


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


TAKEN_BACK = gone(withdrawn_at=build.at(0))


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


# which provider


@pytest.mark.parametrize(
    ("wish", "before", "expected"),
    [
        pytest.param({"traffic": Traffic(provider=Provider.SERVICE)}, "Relay", Provider.SERVICE, id="said"),
        pytest.param({}, None, Provider.RELAY, id="nothing said, a new object"),
        pytest.param({}, "Service", Provider.SERVICE, id="nothing said, the spec is as it was"),
        pytest.param({"steps": (Step(weight=0, shadow=5), Step(weight=10))}, "Service", Provider.RELAY, id="copies"),
    ],
)
def test_the_spec_says_the_provider_or_the_object_keeps_what_it_has(wish, before, expected):
    assert providing.settled(kept(before, generation=1, **wish)).provider is expected


def kept(before: str | None, *, generation: int, **wish: object) -> facts.Snapshot:
    """Of an object that had this provider at generation 1."""
    told_ = TrafficStatus(provider=before) if before else None
    status = Status(observed_generation=1, stable=build.STABLE, traffic=told_)
    asked = build.spec(**wish)
    asked = asked if "traffic" in wish else worlds.provided(asked, None)
    owner = msgspec.structs.replace(build.OWNER, generation=generation)
    return build.snapshot(asked, status=status, owner=owner)


def test_this_releases_default_counts_once_the_spec_changes():
    assert providing.settled(kept("Service", generation=1)).provider is Provider.SERVICE
    assert providing.settled(kept("Service", generation=2)).provider is Provider.RELAY


def test_a_change_in_the_middle_of_a_rollout_counts_for_the_next_one():
    """That one ends as it began, and what it had is not what the object keeps."""
    seen = kept("Service", generation=2)
    status = msgspec.structs.replace(seen.status, candidate=build.in_step(provider="Service"))
    status = planner.plan(providing.settled(msgspec.structs.replace(seen, status=status)), build.at(10)).status
    assert (status.traffic.provider, status.traffic.asked, status.observed_generation) == ("Service", "Relay", 2)
    over = msgspec.structs.replace(status, candidate=None)
    assert providing.settled(msgspec.structs.replace(seen, status=over)).provider is Provider.RELAY


def test_default_steps_are_those_of_the_provider():
    wish = build.spec(steps=None)
    assert build.snapshot(wish).steps == DEFAULT_STEPS[Provider.SERVICE]
    first = build.snapshot(wish, provider=Provider.RELAY).steps[0]
    assert (first.weight, first.shadow, first.min_requests) == (0, 10, 200)


def test_whom_pods_pass_on_to_is_known_from_their_annotations_when_no_status_says_so():
    """An operator that knew no relay has written the status since."""
    text = given(snapshot()).pods[0].assignment
    status = Status(stable=build.STABLE, traffic=TrafficStatus(provider="Relay"))
    seen = snapshot(*servers("1", text), *servers("2", ""), status=status)
    assert relay.passing_on(seen, status, build.at(5)) == (TWO, build.at(5))
    assert relay.passing_on(snapshot(*servers("1", text), status=status), status, build.at(5)) == ("", None)


def test_a_rollout_whose_note_was_lost_goes_on_with_who_shares_the_requests_out():
    status = Status(stable=build.STABLE, candidate=build.in_step(), traffic=TrafficStatus(provider="GatewayAPI"))
    assert providing.settled(build.snapshot(status=status)).provider is Provider.GATEWAY_API


def test_a_rollout_ends_with_the_provider_that_it_began_with():
    wish = build.spec(traffic=Traffic(provider=Provider.RELAY))
    began = Status(stable=build.STABLE, candidate=build.in_step(provider="Service"))
    seen = providing.settled(build.snapshot(wish, status=began))
    assert seen.provider is Provider.SERVICE
    assert providing.words(seen) == "provider Service in place of Relay: this rollout began with it"
    unnoted = Status(stable=build.STABLE, candidate=build.in_step())
    assert providing.settled(build.snapshot(wish, status=unnoted)).provider is Provider.SERVICE


def without_relay(version: str) -> dict[str, object]:
    """Records as an older operator made this version's."""
    records = {one.revision: one for one in map(build.record, "123")}
    old = records[build.name_of(version)]
    volumes = [one for one in old.pod_template["spec"]["volumes"] if one["name"] != "relay"]
    template = {**old.pod_template, "spec": {**old.pod_template["spec"], "volumes": volumes}}
    assert templates.relays(old.pod_template)
    return {**records, old.revision: msgspec.structs.replace(old, pod_template=template)}


@pytest.mark.parametrize("version", ["1", "2"])
def test_pods_of_an_older_operator_share_by_service_and_it_is_said(version):
    wish = build.spec(traffic=Traffic(provider=Provider.RELAY))
    status = Status(stable=build.STABLE, candidate=build.starting(provider="Relay"))
    seen = build.snapshot(wish, status=status, records=without_relay(version), endpoints=build.endpoints("1", v1=2))
    plan = planner.plan(msgspec.structs.replace(seen, look=build.look()), build.at(10))
    assert plan.status.candidate.provider == "Service"
    assert plan.status.candidate.weight == 10
    assert plan.annotations == ()
    assert [one.reason for one in plan.events if one.warning] == ["ProviderUnavailable"]
    [routed] = [one for one in plan.status.conditions if one.type == "Routed"]
    assert routed.reason == "Service"
    assert f"the pods of version {version} were made by an operator that knew no relay" in routed.message


def test_a_serving_image_without_a_relay_shares_by_service():
    old = facts.RelayReport(at=build.at(0), able=False)
    wish = build.spec(traffic=Traffic(provider=Provider.RELAY))
    status = Status(stable=build.STABLE, candidate=build.starting(provider="Relay"))
    pods = (*servers("1", "", relay=old), *servers("2", ""))
    seen = providing.settled(build.snapshot(wish, status=status, pods=pods))
    assert (seen.provider, seen.instead) == (Provider.SERVICE, "the serving image of version 1 has no relay")


def test_steps_that_have_only_copies_are_passed_over_where_nobody_can_make_them():
    copies = (Step(weight=0, shadow=20), Step(weight=10, shadow=5), Step(weight=50))
    seen = build.snapshot(build.spec(steps=copies))
    assert [(one.weight, one.shadow) for one in seen.steps] == [(10, 0), (50, 0)]


def test_pods_are_asked_from_the_start_of_a_rollout_until_all_have_let_go():
    starting = Status(stable=build.STABLE, candidate=build.starting(provider="Relay"))
    assert relay.asked_pods(snapshot(status=starting))
    assert relay.asked_pods(snapshot(status=TAKEN_BACK))
    assert not relay.asked_pods(snapshot(status=gone(relayed="")))
    assert not relay.asked_pods(msgspec.structs.replace(snapshot(status=starting), provider=Provider.SERVICE))


# copies


def case(*, look=build.FAILING, analysis: dict | None = None, **changes: object):
    made = {"weight": 0, "shadow": 20, "provider": "Relay", **changes}
    wish = build.spec(traffic=Traffic(provider=Provider.RELAY))
    if analysis is not None:
        wish = msgspec.structs.replace(wish, analysis=msgspec.structs.replace(wish.analysis, **analysis))
    return build.case(wish, candidate=build.in_step(**made), look=look, provider=Provider.RELAY)


def test_a_version_that_fails_on_copies_is_rejected_before_anybody_had_an_answer_of_it():
    found = guards.candidate_regressed(case())
    assert found is not None
    assert (found.verdict.verdict, found.verdict.reason) == (VerdictKind.REJECTED, Reason.SHADOW_FAILED)
    assert found.verdict.message == build.FAILING.message
    assert (found.rollback, found.candidate) == (None, None)


def test_with_a_share_of_the_answers_as_well_it_is_the_regression_itself():
    found = guards.candidate_regressed(case(weight=10))
    assert found is not None
    assert found.verdict.reason is Reason.ERRORS_REGRESSED


SHIFTED = build.look("Pass", shift="disagreement: 8% of 400 rows differ, more than 1%")
BOUND = {"disagreement": Disagreement(max=Ratio.parse("1%"))}


def test_answers_that_differ_hold_a_rollout_that_keeps_what_it_has():
    found = holding.shifted(case(look=SHIFTED, analysis=BOUND))
    assert found is not None
    assert (found.candidate.hold.reason, found.candidate.shadow) == (Reason.ANSWERS_SHIFTED, 20)
    assert found.phase is Phase.PAUSED
    held = case(look=SHIFTED, analysis=BOUND, hold=found.candidate.hold, shift=found.candidate.shift)
    assert guards.candidate_regressed(held) is None
    assert holding.shifted(held) is None


def test_they_are_only_reported_where_that_is_asked_for():
    report = {"disagreement": Disagreement(max=Ratio.parse("1%"), on_shift=OnShift.REPORT)}
    assert holding.shifted(case(look=SHIFTED, analysis=report)) is None
    plan = planner.plan(msgspec.structs.replace(case(analysis=report).snapshot, look=SHIFTED), build.at(10))
    assert plan.status.candidate.hold is None
    assert plan.status.candidate.shift == SHIFTED.shift
    assert [one.reason for one in plan.events if one.warning] == ["AnswersShifted"]


def test_a_promote_command_ends_that_hold_for_good():
    kept = holding.shifted(case(look=SHIFTED, analysis=BOUND)).candidate
    held = case(look=SHIFTED, analysis=BOUND, hold=kept.hold, shift=kept.shift)
    asked = msgspec.structs.replace(held.snapshot, commands=Commands(resume="r"))
    assert holding.resume_requested(msgspec.structs.replace(held, snapshot=asked)) is None
    asked = msgspec.structs.replace(held.snapshot, commands=Commands(promote="p"))
    found = holding.resume_requested(msgspec.structs.replace(held, snapshot=asked))
    assert found is not None
    assert (found.candidate.hold, found.candidate.step, found.commands.promote) == (None, 1, "p")


def test_with_on_regression_pause_a_version_that_fails_on_copies_is_held_without_them():
    paused = case()
    wish = msgspec.structs.replace(
        paused.snapshot.spec,
        rollout=msgspec.structs.replace(paused.snapshot.spec.rollout, on_regression=OnRegression.PAUSE),
    )
    found = guards.candidate_regressed(
        msgspec.structs.replace(paused, snapshot=msgspec.structs.replace(paused.snapshot, spec=wish))
    )
    assert found is not None
    assert (found.candidate.hold.reason, found.candidate.shadow) == (Reason.SHADOW_FAILED, 0)


# a whole rollout


def rolling(version: str = "2", **changes: object) -> worlds.World:
    world = worlds.World(worlds.relayed("1", **changes))
    world.run(lambda world: world.status.phase is Phase.STABLE)
    world.spec = worlds.relayed(version, **changes)
    return world


def test_exactly_the_share_asked_for_is_passed_on_and_promotion_leaves_nothing_behind():
    world = rolling()
    seen: dict[int, set[float]] = {}

    def serves(world: worlds.World) -> bool:
        candidate = world.status.candidate
        if candidate is not None and world.relayed and 0 < candidate.weight < 100:
            asked, given_ = world.relayed[-1]
            seen.setdefault(candidate.weight, set()).add(round(100 * given_ / asked))
        return world.status.phase is Phase.STABLE and world.serving == "2"

    world.run(serves)
    assert seen == {10: {10}, 50: {50}}
    assert {pod.assignment for pod in world.pods.values()} == {""}
    assert (world.status.traffic.relayed, world.status.traffic.withdrawn_at) == ("", None)


def test_a_version_that_fails_every_request_answers_nobody():
    world = rolling()
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.phase is Phase.STALLED)
    assert world.status.verdicts[0].reason is Reason.SHADOW_FAILED
    assert sum(given_ for _, given_ in world.relayed) == 0
    assert world.user_errors == 0
    assert world.evidence is not None
    world.run(lambda world: not world.status.traffic.relayed)
    assert {pod.assignment for pod in world.pods.values()} == {""}


def test_a_version_that_begins_to_fail_with_a_share_is_rolled_back_by_taking_the_assignment_away():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 50)
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.candidate is None)
    assert world.status.last_rollback.zero_weight_at is None
    assert world.pods_of("2")
    world.step()
    assert world.status.last_rollback.zero_weight_at is not None
    world.run(lambda world: not world.pods_of("2"))
    assert world.user_errors == 0


def test_pods_that_can_not_be_asked_keep_the_candidates_pods_for_as_long_as_a_lease():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    world.mute = world.deaf = set(world.pods)
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.candidate is None)
    since = world.now
    world.run(lambda world: not world.pods_of("2"))
    assert timedelta(seconds=170) <= world.now - since <= timedelta(seconds=200)


def test_a_new_stable_pod_gets_its_assignment_with_the_next_pass():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    world.remove(next(pod for pod in world.pods.values() if pod.revision == world.status.stable.revision))
    world.step()
    world.step()
    texts = [pod.assignment for pod in world.pods_of("1")]
    assert len(texts) == 2
    assert all(texts)


def test_without_an_operator_the_share_goes_back_to_stable():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 50)
    world.step()
    for _ in range(40):
        world._advance()
    assert world.relayed[-40][1] > 0
    assert world.relayed[-1][1] == 0
    world.step()
    world.step()
    assert world.relayed[-1][1] > 0, "and comes again with one"


@pytest.mark.long
def test_a_share_is_renewed_for_as_long_as_its_step_lasts_without_a_write_to_the_status():
    world = rolling()
    long = msgspec.structs.replace(worlds.RELAYED[1], min_duration=Duration.parse("10m"))
    steps_ = (worlds.RELAYED[0], long, worlds.RELAYED[2])
    world.spec = msgspec.structs.replace(world.spec, rollout=msgspec.structs.replace(world.spec.rollout, steps=steps_))
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    for _ in range(100):
        world.step()
        assert world.relayed[-1][1] > 0
