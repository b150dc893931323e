"""Which provider shares a rollout's requests out, and what becomes of one that can't."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.rollout import build, gateway_world
from tests.unit.rollout import world as worlds
from tests.unit.rollout.relayed import TAKEN_BACK, TWO, given, gone, servers, snapshot

from seatrial.api.spec import DEFAULT_STEPS, Provider, Step, Traffic
from seatrial.api.status import Status
from seatrial.api.status import Traffic as TrafficStatus
from seatrial.rollout import facts, planner, providing, templates
from seatrial.rollout.traffic import relay


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
    route = facts.Route(generation=1, asked=gateway_world.GATEWAY, weights={"churn": 100})
    assert providing.settled(build.snapshot(status=status, route=route)).provider is Provider.GATEWAY_API


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
