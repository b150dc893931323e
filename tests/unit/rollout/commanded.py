"""Rollouts that get commands, in the small world: how far they are, and how they are told."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import strategies as st
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api import stage as stages
from seatrial.api.spec import Duration, OnRegression, Spec
from seatrial.api.status import Phase
from seatrial.rollout import children, facts, revision

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


def dying(world: worlds.World, crashes: list[int]) -> worlds.World:
    """The operator dies after so many writes, pass after pass."""
    for writes in crashes:
        world.writes_until_crash = writes
        world.step()
    world.writes_until_crash = None
    return world


CRASHES = st.lists(st.integers(0, 6), min_size=1, max_size=20)


PAUSE = {"rollout": msgspec.structs.replace(worlds.spec().rollout, on_regression=OnRegression.PAUSE)}


def regressed(*, step: int = 1) -> worlds.World:
    """Held for failing requests; they are fine from now on."""
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(worlds.STEPS[step - 1].weight))
    world.error_share["2"] = 0.3
    world.run(paused)
    world.error_share["2"] = 0.0
    return world


def revision_of(world: worlds.World, version: str) -> str:
    return next(name for name, record in world.records.items() if record.content.model_version == version)


def history(*versions: str, soak: str = "30s") -> worlds.World:
    """These versions were promoted one after the other; the last one serves, its soak is over unless it is long."""
    world = installed()
    rollout = msgspec.structs.replace(worlds.spec().rollout, soak=Duration.parse(soak))
    for version in versions[1:]:
        world.spec = worlds.spec(version, rollout=rollout)
        world.run(lambda one, version=version: one.serving == version)
        if soak == "30s":
            world.run(settled)
    return world


def back(version: str) -> Callable[[worlds.World], bool]:
    """It serves alone, and the object says that this isn't what the spec asks for."""
    return lambda world: (world.serving, world.condition("Stalled")) == (version, ("True", "RolledBack"))


NEW = msgspec.structs.replace(worlds.OPERATOR, serving_image="seatrial.dev/serving:2")


class Upgraded(worlds.World):
    """The operator is of a newer release from now on; which image each revision has is on its record."""

    operator = worlds.OPERATOR

    def __init__(self, wish: Spec) -> None:
        super().__init__(wish)
        self.error_by_image: dict[str, float] = {}

    def snapshot(self) -> facts.Snapshot:
        seen = super().snapshot()
        content = revision.wanted(
            self.spec, name="churn", default_image=self.operator.serving_image, known=self.records.values()
        )
        record = children.new_record("churn", content=content, wish=self.spec, known=self.records)
        return msgspec.structs.replace(seen, operator=self.operator, wanted=record)

    def errors_of(self, pod: facts.Pod) -> float:
        image = self.records[pod.revision].content.image
        return self.error_by_image.get(image, super().errors_of(pod))


def upgraded(**changes: object) -> Upgraded:
    world = Upgraded(worlds.spec("1", **changes))
    world.run(settled)
    world.operator = NEW
    later(world, 5)
    assert world.status.stable.image == worlds.OPERATOR.serving_image
    return world


def refreshed(world: worlds.World) -> bool:
    return world.status.stable.image == NEW.serving_image
