"""Commands in whole rollouts, in the small world: what each does in every stage, and that a crash changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api import stage as stages
from seatrial.api.status import Phase

installed, in_canary = test_rollouts.installed, test_rollouts.in_canary
rolled_back, settled, verdicts = test_rollouts.rolled_back, test_rollouts.settled, test_rollouts.verdicts


def told(world: worlds.World, **tokens: str) -> worlds.World:
    """With more command annotations."""
    world.tokens = msgspec.structs.replace(world.tokens, **tokens)
    return world


def paused(world: worlds.World) -> bool:
    return world.status.phase is Phase.PAUSED


def later(world: worlds.World, steps: int = 20) -> worlds.World:
    for _ in range(steps):
        world.step()
    return world


def stage(world: worlds.World) -> stages.Stage | None:
    return stages.of(world.status.candidate) if world.status.candidate else None


def reached(kind: type) -> Callable[[worlds.World], bool]:
    return lambda world: isinstance(stage(world), kind)


def with_weight(weight: int) -> Callable[[worlds.World], bool]:
    return lambda world: world.status.candidate is not None and world.status.candidate.weight == weight


def on_trial() -> worlds.World:
    world = installed()
    world.trial_result = None
    world.spec = worlds.spec("2")
    world.run(reached(stages.Trial))
    world.trial_result = lambda version: worlds.PASSED
    return world


def starting() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2")
    return world.run(reached(stages.Starting))


def promoting() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2", **test_rollouts.with_steps(worlds.STEPS[0]))
    return world.run(reached(stages.Promoting))


def first_install() -> worlds.World:
    return worlds.World(worlds.spec("1")).run(reached(stages.TakingOver))


# pause and resume


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


def dying(world: worlds.World, crashes: list[int]) -> worlds.World:
    """The operator dies after so many writes, pass after pass."""
    for writes in crashes:
        world.writes_until_crash = writes
        world.step()
    world.writes_until_crash = None
    return world


CRASHES = st.lists(st.integers(0, 6), min_size=1, max_size=20)


@settings(max_examples=15, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_during_a_pause_keeps_it(crashes):
    world = dying(told(in_canary(installed()), pause="wait-1"), crashes)
    assert world.run(paused).status.candidate.weight == 10
    told(world, resume="go-1")
    dying(world, crashes).run(lambda one: one.serving == "2")
