"""Random histories of a rollout keep every promise; and promises that can be broken, are, when a rule is taken away.

`python -m tests.bench histories` plays many thousands of them.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import brief, happenings, histories
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Duration
from seatrial.api.status import Phase, VerdictKind
from seatrial.rollout import looks, planner
from seatrial.rollout.rules import guards, wishes


@pytest.mark.long
@pytest.mark.parametrize("block", range(4))
def test_whatever_happens_every_promise_is_kept(block):
    for seed in range(40 * block, 40 * block + 40):
        assert not histories.failure(histories.random_events(seed), seed=seed), f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_promises_are_kept_with_real_samples(seed):
    assert not histories.failure(histories.random_events(seed), seed=seed, thorough=True)


@pytest.mark.parametrize("happening", happenings.WHATS)
def test_each_happening_alone_is_survived_in_a_canary(happening):
    events = [histories.Event("wants", 4, 1), histories.Event(happening, 5, 1), histories.Event("metrics well", 3, 0)]
    assert not histories.failure(events, seed=0)


EVENT = histories.Event


def test_who_is_wanted_back_in_the_soak_and_loses_its_pods_waits_for_nobody_else_to_leave():
    """It is its own version before stable, and has the pods that this one would have to lose."""
    said = (("wants", 6, 3), ("retry", 6, 13), ("candidate lost", 4, 28), ("wants", 1, 20), ("candidate lost", 3, 2))
    assert not histories.failure([EVENT(*one) for one in said], seed=909463)


BROKEN = {
    "a rejected revision is tried again": (
        wishes.wanted_was_rejected,
        [EVENT("wants", 3, 1), EVENT("abort", 5, 0)],
    ),
    "a regression in plain sight is not found": (
        guards.candidate_regressed,
        [EVENT("wants", 4, 1), EVENT("bad candidate", 20, 0)],
    ),
    "a share of the traffic is kept where nobody sees it": (
        guards.candidate_unseen,
        [EVENT("wants", 4, 1), EVENT("metrics", 20, 1)],
    ),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_planner_without_the_rule_breaks_the_promise(promise, monkeypatch):
    rule, events = BROKEN[promise]
    assert not histories.failure(events, seed=0)
    monkeypatch.setattr(planner, "RULES", tuple(one for one in planner.RULES if one is not rule))
    assert promise in histories.failure(events, seed=0)


def test_a_planner_that_takes_blindness_for_sight_breaks_the_promise(monkeypatch):
    events = [EVENT("wants", 4, 1), EVENT("metrics", 8, 3)]
    monkeypatch.setattr(looks.Look, "blind", property(lambda look: False))
    monkeypatch.setattr(looks.Look, "passed", property(lambda look: True))
    monkeypatch.setattr(brief, "blind", _as_if_seen)
    assert "goes on while metrics are" in histories.failure(events, seed=0)


def _as_if_seen(asked, outcome, message, *, now):
    seen = {"observed": worlds.INTERVAL * 9, "candidate_requests": 999, "alone": asked.window.alone}
    return looks.Look(outcome=outcome, reason="Pass", message=message, at=now, soak=asked.window.soak, **seen)


def test_a_promoted_version_without_pods_is_stood_in_for_by_the_warm_one():
    world = soaking()
    lose(world, "2")
    for _ in range(3):
        world.step()
    assert {world.version(pod.revision) for pod in world._selected()} == {"1"}
    assert world.serving == "2"
    world.stuck.clear()
    for _ in range(3):
        world.step()
    assert {world.version(pod.revision) for pod in world._selected()} == {"2"}


def soaking() -> worlds.World:
    soak = msgspec.structs.replace(worlds.spec().rollout, soak=Duration.parse("5m"))
    world = worlds.World(worlds.spec("1")).run(stable)
    world.spec = worlds.spec("2", rollout=soak)
    return world.run(lambda one: one.serving == "2")


def stable(world: worlds.World) -> bool:
    return world.status.phase is Phase.STABLE


def lose(world: worlds.World, version: str) -> None:
    world.stuck.add(version)
    for name, pod in world.pods.items():
        world.pods[name] = msgspec.structs.replace(pod, ready=pod.ready and world.version(pod.revision) != version)


@pytest.mark.long
@pytest.mark.parametrize("bad", [False, True], ids=["healthy", "failing"])
@settings(max_examples=15, deadline=None)
@given(crashes=st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_an_operator_that_dies_between_any_two_writes_comes_to_the_same_verdict(bad, crashes):
    world = worlds.World(worlds.spec("1")).run(stable)
    world.spec = worlds.spec("2")
    world.error_share["2"] = 0.2 if bad else 0.0
    for writes in crashes:
        world.writes_until_crash = writes
        world.step()
    world.run(lambda one: any(verdict.model_version == "2" for verdict in one.status.verdicts))
    verdict = world.status.verdicts[0]
    assert verdict.verdict is (VerdictKind.REJECTED if bad else VerdictKind.PROMOTED)
    assert world.serving == ("1" if bad else "2")
