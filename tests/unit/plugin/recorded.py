"""ModelDeployments as the API server would give them, recorded from the small world in every situation there is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from tests.unit.rollout import commanded, test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api import values
from seatrial.api.status import Phase
from seatrial.plugin import view


def approval() -> worlds.World:
    """A step that waits to be promoted."""
    world = test_rollouts.installed()
    waiting = msgspec.structs.replace(worlds.STEPS[0], pause=True)
    world.spec = worlds.spec("2", **test_rollouts.with_steps(waiting, worlds.STEPS[1]))
    return world.run(lambda one: bool(one.status.candidate and one.status.candidate.waiting_for_approval))


def paused() -> worlds.World:
    world = commanded.told(test_rollouts.in_canary(test_rollouts.installed()), pause="wait-1")
    return world.run(commanded.paused)


def soaking() -> worlds.World:
    world = test_rollouts.in_canary(test_rollouts.installed())
    return world.run(lambda one: one.status.phase is Phase.SOAKING)


def rolled_back() -> worlds.World:
    world = test_rollouts.in_canary(test_rollouts.installed())
    world.error_share["2"] = 0.3
    world.run(test_rollouts.rolled_back)
    return commanded.later(world, 10)


def refused() -> worlds.World:
    """A model that its trial has refused."""
    world = test_rollouts.installed()
    world.trial_result = lambda version: worlds.REJECTED if version == "2" else worlds.PASSED
    world.spec = worlds.spec("2")
    return world.run(test_rollouts.rolled_back)


def aborted() -> worlds.World:
    world = commanded.told(test_rollouts.in_canary(test_rollouts.installed()), abort="no-1")
    return commanded.later(world.run(test_rollouts.rolled_back), 10)


def blind() -> worlds.World:
    """Without metrics: no weight, no verdict."""
    world = test_rollouts.in_canary(test_rollouts.installed())
    world.prometheus_down = True
    return world.run(lambda one: one.status.candidate.weight == 0)


def second_promoted() -> worlds.World:
    world = test_rollouts.in_canary(test_rollouts.installed())
    return world.run(test_rollouts.settled)


SITUATIONS: Mapping[str, Callable[[], worlds.World]] = {
    "first install": commanded.first_install,
    "stable": test_rollouts.installed,
    "on trial": commanded.on_trial,
    "starting": commanded.starting,
    "canary": lambda: test_rollouts.in_canary(test_rollouts.installed()),
    "waiting for approval": approval,
    "paused": paused,
    "blind": blind,
    "promoting": commanded.promoting,
    "soaking": soaking,
    "second promoted": second_promoted,
    "rolled back": rolled_back,
    "refused": refused,
    "aborted": aborted,
}


@functools.cache
def world(situation: str) -> worlds.World:
    """To be looked at, not to be changed: it is made once."""
    return SITUATIONS[situation]()


def raw(world: worlds.World, *, name: str = "churn", namespace: str = "shop") -> dict[str, Any]:
    """The object that the world's operator has written."""
    return {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace, "generation": 1, "uid": "u"},
        "spec": msgspec.to_builtins(world.spec, enc_hook=values.encode_hook),
        "status": msgspec.to_builtins(world.status),
    }


def seen(world: worlds.World) -> view.View:
    return view.of(raw(world))


def pods(world: worlds.World) -> list[dict[str, Any]]:
    """Its pods, as far as the tree reads them."""
    return [
        {
            "metadata": {
                "name": pod.name,
                "labels": {"seatrial.dev/revision": pod.revision},
                "creationTimestamp": "2026-01-01T12:00:00Z",
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True" if pod.ready else "False"}],
            },
        }
        for pod in world.pods.values()
    ]
