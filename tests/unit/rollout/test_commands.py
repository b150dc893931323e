"""Pause, resume and promote in whole rollouts, in the small world: what each does in every stage, whatever crashes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from tests.unit.rollout import world as worlds
from tests.unit.rollout.commanded import (
    CRASHES,
    PAUSE,
    dying,
    first_install,
    in_canary,
    installed,
    later,
    on_trial,
    paused,
    promoting,
    regressed,
    rolled_back,
    stage,
    starting,
    told,
    verdicts,
    with_weight,
)

from seatrial.api import stage as stages
from seatrial.api.spec import Duration, Promotion


@pytest.mark.parametrize(
    ("begin", "weight", "kind"),
    [
        pytest.param(on_trial, 0, stages.Starting, id="on trial: it ends, pods start"),
        pytest.param(starting, 0, stages.Starting, id="starting"),
        pytest.param(lambda: in_canary(installed()), 10, stages.Step, id="step 1"),
        pytest.param(lambda: in_canary(installed()).run(with_weight(50)), 50, stages.Step, id="step 2"),
        pytest.param(promoting, 10, stages.Promoting, id="promoting"),
        pytest.param(first_install, 0, stages.TakingOver, id="first install"),
    ],
)
def test_a_paused_rollout_keeps_its_weight_and_advances_nothing_until_it_is_resumed(begin, weight, kind):
    world = told(begin(), pause="wait-1").run(paused)
    wanted = world.spec.model.version
    later(world)
    assert (world.status.candidate.weight, world.condition("Ready")) == (weight, ("False", "Paused"))
    assert isinstance(stage(world), kind)
    assert world.status.commands.pause == "wait-1"
    told(world, resume="go-1").run(lambda one: one.status.stable is not None and one.serving == wanted)
    assert world.status.commands.resume == "go-1"


@pytest.mark.parametrize("command", ["retry", "abort", "promote"])
def test_a_command_that_nothing_can_come_of_is_said_to_be_in_vain(command):
    world = told(installed(), **{command: "again"})
    world.run(lambda one: "CommandIgnored" in one.events, limit=5)
    assert getattr(world.status.commands, command) == "again"


def test_a_token_pauses_once():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    told(world, resume="go-1").run(lambda one: one.serving == "2")
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")


def test_a_pause_that_comes_with_a_new_version_is_about_that_version():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.spec = worlds.spec("3")
    later(told(world, pause="wait-2"))
    assert (world.status.candidate.model_version, world.status.candidate.weight) == ("3", 0)
    assert paused(world)


def test_another_version_ends_the_pause():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")
    assert "Paused" in world.events


def test_the_promote_command_ends_a_pause_and_the_step():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    told(world, promote="ok-1").run(lambda one: one.status.candidate.weight == 50)
    world.run(lambda one: one.serving == "2")


def test_a_paused_version_that_fails_requests_is_rolled_back():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    assert verdicts(world)[0][:2] == ("2", "Rejected")


def test_a_paused_version_loses_its_weight_when_nothing_is_seen_and_gets_it_back_when_resumed():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.prometheus_down = True
    world.run(lambda one: one.status.candidate.weight == 0)
    assert world.condition("Ready") == ("False", "MetricsUnavailable")
    world.prometheus_down = False
    later(world)
    assert (world.status.candidate.weight, world.condition("Ready")) == (0, ("False", "Paused"))
    told(world, resume="go-1").run(lambda one: one.serving == "2")


def test_a_paused_version_refused_on_trial_is_rejected():
    world = told(on_trial(), pause="wait-1")
    world.trial_result = lambda version: worlds.REJECTED
    world.run(rolled_back)
    assert world.condition("Ready") == ("False", "ModelRejected")


@pytest.mark.long
def test_a_paused_version_takes_over_when_stable_has_gone():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.stuck.add("1")
    world.run(lambda one: one.serving == "2")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_where_nothing_is_under_way_pause_and_resume_are_ignored_with_words(command):
    world = told(installed(), **{command: "now-1"})
    world.step()
    assert getattr(world.status.commands, command) == "now-1"
    assert world.events[-1] == "CommandIgnored"
    world.spec = worlds.spec("2")
    world.run(lambda one: one.serving == "2")


def test_pause_and_resume_at_once_go_on():
    world = told(in_canary(installed()), pause="wait-1", resume="go-1")
    world.run(lambda one: one.serving == "2")
    assert (world.status.commands.pause, world.status.commands.resume) == ("wait-1", "go-1")


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_during_a_pause_keeps_it(crashes):
    world = dying(told(in_canary(installed()), pause="wait-1"), crashes)
    assert world.run(paused).status.candidate.weight == 10
    told(world, resume="go-1")
    dying(world, crashes).run(lambda one: one.serving == "2")


# a regression that pauses


def test_a_regression_that_pauses_gives_all_traffic_to_stable_without_a_verdict_and_keeps_the_pods():
    world = later(regressed())
    assert (world.condition("Ready"), world.condition("Stalled")[0]) == (("False", "ErrorsRegressed"), "False")
    assert [verdict[0] for verdict in verdicts(world)] == ["1"]
    assert world.status.last_rollback.zero_weight_at is not None
    assert any(world.version(pod.revision) == "2" and pod.ready for pod in world.pods.values())
    assert world.weights[-1] == 0
    assert world.evidence is not None


def test_promote_goes_on_after_a_regression_with_the_step_begun_again():
    world = told(regressed(step=2), promote="risk-1")
    world.run(with_weight(50))
    world.run(lambda one: one.serving == "2")


def test_promote_full_after_a_regression_skips_the_rest():
    world = told(regressed(), promote="risk-1/full").run(with_weight(10))
    world.weights.clear()
    world.run(lambda one: one.serving == "2")
    assert 50 not in world.weights


def test_a_second_regression_pauses_again():
    world = told(regressed(), promote="risk-1").run(with_weight(10))
    world.error_share["2"] = 0.3
    world.run(paused)
    assert world.status.candidate.weight == 0


def test_a_promote_command_that_came_before_the_regression_does_not_excuse_it():
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(50))
    world.prometheus_down = True
    told(world, promote="early-1/full").error_share["2"] = 0.3
    later(world, 3).prometheus_down = False
    world.weights.clear()
    assert paused(later(world))
    assert world.weights == sorted(world.weights, reverse=True)


def test_resume_is_no_answer_to_a_regression():
    world = told(regressed(), resume="go-1")
    assert paused(later(world))
    assert "CommandIgnored" in world.events


def test_abort_rejects_a_version_that_is_held():
    world = told(regressed(), abort="stop-1").run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "Aborted")


def test_a_held_version_is_rejected_when_the_spec_no_longer_pauses():
    world = regressed()
    world.spec = worlds.spec("2")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "ErrorsRegressed")


@pytest.mark.long
def test_a_version_held_for_a_regression_does_not_take_over_when_stable_has_gone():
    world = regressed()
    world.stuck.add("1")
    assert later(world, 100).serving == "1"


def test_a_regression_in_the_soak_goes_back_even_where_regressions_pause():
    world = installed()
    soak = msgspec.structs.replace(PAUSE["rollout"], soak=Duration.parse("5m"))
    world.spec = worlds.spec("2", rollout=soak)
    world.run(lambda one: one.serving == "2")
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    assert (world.serving, verdicts(world)[0]) == ("1", ("2", "Rejected", "RegressedAfterPromotion"))


@settings(max_examples=5, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_while_it_takes_the_traffic_of_a_regression_holds_it_all_the_same(crashes):
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(10))
    world.error_share["2"] = 0.3
    dying(world, crashes).run(paused)
    assert [verdict[0] for verdict in verdicts(world)] == ["1"]


# proof


def test_where_proof_is_asked_for_a_version_without_a_bad_answer_waits_for_the_promote_command():
    world = installed()
    strict = msgspec.structs.replace(worlds.spec().rollout, promotion=Promotion.NON_INFERIORITY)
    world.spec = worlds.spec("2", rollout=strict)
    world.run(lambda one: one.condition("Ready")[1] == "InsufficientEvidence")
    assert later(world).status.candidate.weight == 10
    told(world, promote="ok-1/full").run(lambda one: one.serving == "2")
