"""Rollback-to and refresh-image in whole rollouts, in the small world: other versions than the spec asks for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import world as worlds
from tests.unit.rollout.commanded import (
    CRASHES,
    NEW,
    Upgraded,
    back,
    dying,
    history,
    in_canary,
    installed,
    later,
    refreshed,
    revision_of,
    rolled_back,
    settled,
    told,
    upgraded,
    verdicts,
    with_weight,
)

from seatrial.api.spec import Serving


def test_rollback_to_brings_a_version_of_the_history_back_by_the_straight_way():
    world = history("1", "2", "3")
    world.weights.clear()
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    assert set(world.weights) == {0, 100}
    assert verdicts(world)[:2] == [("1", "Promoted", "Promoted"), ("3", "Rejected", "RolledBack")]
    assert world.condition("Ready") == ("False", "RolledBack")
    assert later(world).serving == "1"
    assert world.status.previous is None
    assert world.status.last_rollback.zero_weight_at is not None


def test_rollback_to_the_warm_version_is_one_flip():
    world = history("1", "2", soak="10m")
    told(world, rollback_to=revision_of(world, "1"))
    world.run(back("1"), limit=2)
    assert later(world).serving == "1"


def test_rollback_to_another_than_the_warm_version_does_not_go_through_that_one():
    world = history("1", "2", "3", soak="10m")
    served: list[str] = []
    told(world, rollback_to=revision_of(world, "1"))
    world.run(lambda one: bool(served.append(one.serving)) or back("1")(one))
    assert set(served) == {"3", "1"}


def test_rollback_to_during_a_canary_rejects_the_candidate():
    world = in_canary(history("1", "2"), "3")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    assert ("3", "Rejected", "RolledBack") in verdicts(world)
    assert later(world).serving == "1"


def test_rollback_to_stable_during_a_canary_ends_the_canary():
    world = in_canary(history("1", "2"), "3")
    told(world, rollback_to=revision_of(world, "2")).run(back("2"))
    assert world.status.candidate is None


def test_a_change_of_the_spec_after_rollback_to_is_a_rollout_like_any_other():
    world = history("1", "2")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    world.weights.clear()
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")
    assert {10, 50, 100} <= set(world.weights)
    assert world.status.set_back is None


def test_a_version_set_aside_comes_back_by_a_retry_through_a_canary():
    world = history("1", "2")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    world.weights.clear()
    told(world, retry="again-1").run(lambda one: one.serving == "2")
    assert {10, 50, 100} <= set(world.weights)


def test_another_token_for_the_same_revision_is_another_command():
    world = history("1", "2")
    first = revision_of(world, "1")
    told(world, rollback_to=first).run(back("1"))
    told(world, retry="again-1").run(lambda one: one.serving == "2" and settled(one))
    assert later(world).serving == "2"
    told(world, rollback_to=f"{first}/2").run(back("1"))


@pytest.mark.parametrize("named", ["nobody", "rejected", "wanted"])
def test_rollback_to_a_version_that_may_not_serve_is_ignored_with_those_that_may(named):
    world = history("1", "2")
    world.error_share["3"] = 0.3
    in_canary(world, "3").run(rolled_back)
    world.spec = worlds.spec("2")
    world.run(settled)
    token = {"nobody": "xyz", "rejected": revision_of(world, "3"), "wanted": revision_of(world, "2")}[named]
    told(world, rollback_to=token)
    said = " ".join(event.message for event in world.plan().events)
    world.step()
    assert (world.serving, world.status.commands.rollback_to) == ("2", token)
    assert world.condition("Ready") == ("True", "Promoted")
    assert named == "wanted" or f"{revision_of(world, '1')} (version 1)" in said
    assert world.events[-1] == "CommandIgnored"


def test_where_the_named_version_can_not_come_back_the_other_serves_on_and_says_so():
    world = history("1", "2")
    world.stuck.add("1")
    told(world, rollback_to=revision_of(world, "1"))
    world.run(lambda one: one.condition("Stalled") == ("True", "RolledBack"))
    assert world.serving == "2"
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES, soak=st.sampled_from(["30s", "10m"]))
def test_an_operator_that_dies_while_it_rolls_back_by_command_comes_to_the_same_end(crashes, soak):
    world = history("1", "2", soak=soak)
    told(world, rollback_to=revision_of(world, "1"))
    dying(world, crashes).run(back("1"))
    assert later(world).serving == "1"


def test_refresh_image_takes_the_operators_image_as_a_rollout_with_trial_and_canary():
    world = told(upgraded(), refresh_image="now-1")
    world.weights.clear()
    world.run(refreshed)
    assert {10, 50, 100} <= set(world.weights)
    assert len(world.records) == 2
    assert world.status.commands.refresh_image == "now-1"
    later(world, 30)
    assert (world.condition("Ready"), len(world.records)) == (("True", "Promoted"), 2)


def test_refresh_image_during_a_canary_begins_again_with_the_new_image():
    world = upgraded()
    world.operator = worlds.OPERATOR
    in_canary(world)
    world.operator = NEW
    told(world, refresh_image="now-1").run(lambda one: refreshed(one) and one.serving == "2")
    assert ("2", "Superseded", "Superseded") in verdicts(world)


def test_a_refreshed_image_that_regresses_leaves_the_version_with_its_old_image_and_ready():
    world = told(upgraded(), refresh_image="now-1").run(with_weight(10))
    world.error_by_image[NEW.serving_image] = 0.3
    world.run(lambda one: one.status.candidate is None)
    later(world)
    assert verdicts(world)[0] == ("1", "Rejected", "ErrorsRegressed")
    assert (world.condition("Ready"), refreshed(world)) == (("True", "Promoted"), False)
    told(world, refresh_image="now-2").step()
    assert world.events[-1] == "CommandIgnored"
    assert not refreshed(later(world))


@pytest.mark.parametrize("why", ["the same image", "an image in the spec"])
def test_where_the_image_can_not_be_refreshed_the_command_is_ignored_with_words(why):
    named = worlds.spec("1", serving=Serving(image="seatrial.dev/serving:1"))
    world = installed() if why == "the same image" else Upgraded(named).run(settled)
    world.operator = NEW if why == "an image in the spec" else worlds.OPERATOR
    told(world, refresh_image="now-1")
    said = " ".join(event.message for event in world.plan().events)
    later(world)
    assert ("already" in said) == (why == "the same image")
    assert ("spec.serving.image" in said) == (why != "the same image")
    assert (world.status.commands.refresh_image, len(world.records)) == ("now-1", 1)


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_while_it_refreshes_the_image_comes_to_the_same_end(crashes):
    world = told(upgraded(), refresh_image="now-1")
    dying(world, crashes).run(refreshed)
    assert len(later(world).records) == 2
