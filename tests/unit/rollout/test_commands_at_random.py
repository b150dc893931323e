"""Commands in any order between whatever happens: promises hold, and a second look changes nothing."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import world as worlds
from tests.unit.rollout.commanded import (
    NEW,
    Upgraded,
    later,
    settled,
    told,
)

from seatrial.api.spec import OnRegression
from seatrial.api.status import Status

OTHERS = ["1", "2", "3", "errors", "blind", "stuck", "replicas", "abort", "retry", "promote"]
COMMANDS = ["pause", "resume", "rollback-to", "refresh-image", "onRegression"]


class Watched(Upgraded):
    """Promises that commands make, checked after every write of the status."""

    def check_weight(self, before: Status, after: Status) -> None:
        super().check_weight(before, after)
        old, new = before.candidate, after.candidate
        if new is None or new.weight <= (old.weight if old is not None else 0):
            return
        mark = self.snapshot().standing(new.revision)
        assert mark is None or not mark.rejected, "a rejected version gets traffic"
        gone = before.stable is not None and before.stable.missing_since is not None
        assert new.hold is None or gone, "a held version gets traffic"


def disturb(world: Watched, change: str, *, token: str) -> None:
    match change:
        case "1" | "2" | "3":
            world.spec = msgspec.structs.replace(world.spec, model=worlds.spec(change).model)
        case "pause" | "resume":
            told(world, **{change: token})
        case "rollback-to":
            named = sorted(world.records)
            told(world, rollback_to=f"{named[len(token) % len(named)]}/{token}")
        case "refresh-image":
            image = {worlds.OPERATOR: NEW, NEW: worlds.OPERATOR}[world.operator]
            world.operator = image
            told(world, refresh_image=token)
        case "onRegression":
            pauses = world.spec.rollout.on_regression is OnRegression.PAUSE
            policy = OnRegression.ROLLBACK if pauses else OnRegression.PAUSE
            rollout = msgspec.structs.replace(world.spec.rollout, on_regression=policy)
            world.spec = msgspec.structs.replace(world.spec, rollout=rollout)
        case "errors":
            world.error_share["2"] = 0.3 - world.error_share.get("2", 0.0)
        case "blind":
            world.prometheus_down = not world.prometheus_down
        case "stuck":
            world.stuck ^= {"2"}
        case "replicas":
            world.spec = msgspec.structs.replace(world.spec, replicas=5 - world.spec.replicas)
        case "abort" | "retry" | "promote":
            told(world, **{change: token})


def assert_settles(world: Watched) -> None:
    """At one instant, with the children in place, looking again and again comes to an end."""
    for _ in range(6):
        before = world.status
        plan = world.plan()
        world.apply(plan)
        if plan.status == before:
            return
    raise AssertionError("the status is written again and again")


@settings(max_examples=6, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(OTHERS + COMMANDS * 2), st.integers(0, 6), st.none() | st.integers(0, 6)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_commanded_promises_hold_and_a_second_look_changes_nothing(changes):
    happens(changes)


def happens(changes: list[tuple[str, int, int | None]]) -> None:
    """Each change, with so many passes after it; the operator may die after so many writes."""
    world = Watched(worlds.spec("1"))
    world.run(settled)
    for number, (change, steps, writes) in enumerate(changes):
        disturb(world, change, token="t" * (number + 1))
        world.writes_until_crash = writes
        later(world, steps + 1)
        world.writes_until_crash = None
        assert_settles(world)
