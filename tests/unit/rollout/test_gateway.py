"""Provider GatewayAPI: what is asked of a gateway, what counts of its answers, and that nobody meets nobody."""

from __future__ import annotations

import random

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout import gateway_world as roads
from tests.unit.rollout import world as worlds
from tests.unit.rollout.gateway_world import CANDIDATE, STABLE, Road

from seatrial.api import spec as specs
from seatrial.api.status import Phase, Status
from seatrial.rollout import names
from seatrial.rollout.traffic import gateway, pinned


def settled(road: worlds.World) -> bool:
    return road.status.phase is Phase.STABLE


def installed(**arguments: object) -> Road:
    road = Road(roads.spec("1"), **arguments)
    road.run(settled)
    return road


def in_step(road: Road, step: int = 1, version: str = "2") -> Road:
    road.spec = roads.spec(version)
    road.run(
        lambda one: bool(one.status.candidate and one.status.candidate.step >= step and one.status.candidate.weight)
    )
    return road


def rolled_back(road: worlds.World) -> bool:
    return road.condition("Stalled")[0] == "True"


def weights(road: Road) -> dict[str, int]:
    assert road.route is not None
    (rule,) = road.route["spec"]["rules"]
    return {one["name"]: one["weight"] for one in rule["backendRefs"]}


def test_the_route_is_attached_as_the_spec_says_and_leads_to_two_services():
    road = installed()
    asked = road.route["spec"]
    assert asked["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front", "namespace": "edge"}
    ]
    assert asked["hostnames"] == ["churn.example"]
    assert weights(road) == {STABLE: 100, CANDIDATE: 0}
    assert {one["port"] for one in asked["rules"][0]["backendRefs"]} == {8080}


def test_inside_the_cluster_the_services_name_leads_to_stable_until_the_promotion():
    road = in_step(installed())
    stable = road.status.stable.revision
    assert road.selectors["churn"] == road.selectors[STABLE] == names.selector("churn", stable)
    assert road.selectors[CANDIDATE][names.REVISION] == road.status.candidate.revision


@pytest.mark.parametrize(("step", "weight"), [(1, 10), (2, 50)])
def test_a_step_gives_exactly_its_share(step, weight):
    road = in_step(installed(), step)
    road.run(lambda one: one.status.candidate.weight == weight)
    road.step()
    assert road.share("2") == weight
    assert weights(road) == {STABLE: 100 - weight, CANDIDATE: weight}


def test_a_good_version_is_promoted_in_place_and_the_weights_turn_round():
    road = in_step(installed())
    road.run(lambda one: settled(one) and one.serving == "2")
    assert weights(road) == {STABLE: 100, CANDIDATE: 0}
    assert road.share("2") == 100
    assert "NotRouted" not in road.events
    assert road.condition("Routed") == ("True", "GatewayAPI")


def test_a_bad_version_loses_its_share_and_then_its_pods():
    road = installed()
    road.error_share["2"] = 0.9
    in_step(road).run(rolled_back)
    road.run(lambda one: one.status.last_rollback.zero_weight_at is not None)
    assert (weights(road), road.share("1")) == ({STABLE: 100, CANDIDATE: 0}, 100)
    for _ in range(3):
        road.step()
    assert {road.version(pod.revision) for pod in road.pods.values()} == {"1"}


def test_traffic_is_off_only_when_the_gateway_has_followed():
    road = installed()
    road.error_share["2"] = 0.9
    in_step(road)
    road.step()
    road.lag = lambda follower: follower == "gateway"
    road.run(rolled_back)
    for _ in range(5):
        road.step()
    assert weights(road) == {STABLE: 100, CANDIDATE: 0}
    assert road.status.last_rollback.zero_weight_at is None
    assert "2" in {road.version(pod.revision) for pod in road.pods.values()}, "it may still be sent requests"
    road.lag = lambda follower: False
    road.run(lambda one: one.status.last_rollback.zero_weight_at is not None, limit=3)


def test_pods_go_a_while_after_the_gateway_has_followed():
    """What it has said it applies a moment later; the connections that it keeps must not close under a request."""
    road = installed()
    road.error_share["2"] = 0.9
    in_step(road).run(lambda one: one.status.last_rollback is not None and one.status.last_rollback.zero_weight_at)
    off = road.status.last_rollback.zero_weight_at
    assert asked_for(road) == {"1", "2"}
    assert gateway.look_again(road.status, off) == gateway.APPLIED, "no event will tell"
    road.run(lambda one: asked_for(one) == {"1"}, limit=2)
    assert road.now - off >= gateway.APPLIED


def asked_for(road: Road) -> set[str]:
    """Versions that shall have pods."""
    return {road.version(name) for name, count in road.deployments.items() if count}


@pytest.mark.long
def test_a_route_that_the_gateway_refuses_is_said_in_its_words_and_the_step_does_not_go_on():
    road = in_step(installed())
    road.answer = ("False", "NotAllowedByListeners", "no listener takes routes from shop")
    road.overwrite(stable=90, candidate=11)  # somebody's change, so that the gateway looks again
    for _ in range(30):
        road.step()
    assert road.status.candidate.step == 1
    assert road.condition("Routed") == ("False", "GatewayAPI")
    said = next(one.message for one in road.status.conditions if one.type == "Routed")
    assert said == ("gateway edge/front says Accepted=False, NotAllowedByListeners: no listener takes routes from shop")
    assert road.status.stable.ready_replicas == 2
    road.answer = roads.ACCEPTED
    road.overwrite(stable=90, candidate=12)
    road.run(lambda one: settled(one) and one.serving == "2")


def test_a_gateway_that_nobody_serves_is_named_and_nothing_is_promoted():
    road = Road(roads.spec("1"))
    road.answer = None
    for _ in range(20):
        road.step()
    assert road.status.stable is None
    said = {one.type: one.message for one in road.status.conditions}
    assert said["Routed"] == "gateway edge/front has not answered: there is none of that name, or nothing serves it"
    assert said["Ready"].endswith(f"waits for the traffic to follow: {said['Routed']}")
    road.answer = roads.ACCEPTED
    road.run(settled)


def test_weights_that_somebody_else_sets_are_put_back():
    road = in_step(installed())
    road.step()
    road.overwrite(stable=0, candidate=100)
    road.step()
    assert weights(road) == {STABLE: 90, CANDIDATE: 10}
    assert road.events.count("NotRouted") == 1


def test_a_route_that_is_deleted_comes_back_with_its_weights():
    road = in_step(installed())
    road.step()
    road.lose_route()
    road.step()
    assert weights(road) == {STABLE: 90, CANDIDATE: 10}
    assert road.events.count("NotRouted") == 1


def test_a_candidate_without_pods_is_sent_nothing_until_it_has_some_again():
    road = in_step(installed())
    road.step()
    road.kill("2")
    road.step()
    assert weights(road) == {STABLE: 100, CANDIDATE: 0}
    assert road.condition("Routed")[0] == "False"
    road.run(lambda one: weights(one) == {STABLE: 90, CANDIDATE: 10})


def test_another_version_during_the_canary_waits_until_the_gateway_knows_that_the_first_has_no_share():
    road = in_step(installed())
    road.step()
    road.lag = lambda follower: follower == "gateway"
    road.spec = roads.spec("3")
    for _ in range(10):
        road.step()
    first = next(revision for revision, version in road.versions.items() if version == "2")
    assert road.selectors[CANDIDATE][names.REVISION] == first
    road.lag = lambda follower: False
    road.run(lambda one: settled(one) and one.serving == "3")


def test_a_rollout_ends_with_the_gateway_that_it_began_with_and_then_its_route_goes():
    road = in_step(installed())
    road.spec = worlds.spec("2")  # no provider, no gateway
    road.step()
    assert weights(road) == {STABLE: 90, CANDIDATE: 10}
    assert road.route["spec"]["hostnames"] == ["churn.example"]
    road.spec = msgspec.structs.replace(
        road.spec, rollout=msgspec.structs.replace(road.spec.rollout, traffic=specs.Traffic(provider="Service"))
    )
    road.run(lambda one: settled(one) and one.serving == "2")
    road.step()
    assert road.route is None


def test_a_route_deleted_after_its_gateway_left_the_spec_is_not_made_for_nobody_and_the_rollout_goes_on():
    road = in_step(installed())
    road.spec = msgspec.structs.replace(
        road.spec, rollout=msgspec.structs.replace(road.spec.rollout, traffic=specs.Traffic(provider="Service"))
    )
    road.lose_route()
    road.step()
    assert road.route is None
    assert road.status.traffic.provider == "Service"
    road.run(lambda one: settled(one) and one.serving == "2")


def test_pods_stay_until_no_gateway_leads_to_them_also_when_another_provider_was_asked_for_meanwhile():
    """The route goes last: nobody may be sent where nobody answers, which the world looks at after each write."""
    road = in_step(installed())
    road.spec = worlds.spec("2")
    road.error_share["2"] = 0.5
    road.run(rolled_back)
    road.run(lambda one: one.route is None)
    road.run(lambda one: not one.pods_of("2"))


def test_a_service_that_led_to_both_versions_is_pinned_to_whoever_answers():
    """As provider Service, or Relay without a pod of stable, leaves it."""
    pods = (*build.pods("1", False, False), *build.pods("2", True))
    seen = build.snapshot(pods=pods, status=Status(stable=build.STABLE))
    wide = build.endpoints(None, v2=1)
    assert pinned.revision(seen, seen.status, wide) == build.name_of("2")
    whole = build.snapshot(pods=(*build.pods("1", True), *build.pods("2", True)), status=seen.status)
    assert pinned.revision(whole, seen.status, wide) == build.name_of("1")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(150))
def test_nobody_is_sent_where_nobody_answers_however_late_each_follower_is(seed):
    """Versions good and bad, one after another, also in the middle of a rollout; each follower in its own time."""
    pick = random.Random(seed)
    road = Road(roads.spec("1"))
    road.run(settled)
    for version in pick.choices("23451", k=3):
        laziness = pick.choice((0.0, 0.3, 0.7))
        road.lag = lambda follower, laziness=laziness: pick.random() < laziness
        road.error_share = {version: pick.choice((0.0, 0.0, 0.5))}
        road.spec = roads.spec(version)
        for _ in range(pick.choice((1, 2, 4, 8, 60))):
            road.step()
    road.lag = lambda follower: False
    road.error_share = {}
    road.run(lambda one: one.status.phase in (Phase.STABLE, Phase.ROLLED_BACK, Phase.STALLED), limit=400)
    assert road.share(road.serving) == 100


@pytest.mark.parametrize("seed", range(60))
def test_after_pods_are_lost_everybody_is_answered_again_and_the_rollout_ends(seed):
    pick = random.Random(seed)
    road = in_step(installed(), pick.choice((1, 2)))
    road.lag = lambda follower: pick.random() < 0.3
    for _ in range(pick.randrange(1, 4)):
        road.kill(pick.choice("12"))
        for _ in range(pick.randrange(4)):
            road.step()
    road.lag = lambda follower: False
    road.run(lambda one: one.status.phase in (Phase.STABLE, Phase.ROLLED_BACK), limit=300)
    road.disturbed = False
    road.step()
    assert road.share(road.serving) == 100
