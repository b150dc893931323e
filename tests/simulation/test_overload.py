"""Pods at the edge of what they can carry: a version that carries less is found, one that is only given more is not."""

from __future__ import annotations

import numpy as np
import pytest

from seatrial.analysis import policy, slots, verdict
from seatrial.analysis.judgement import Outcome, Reason

RUNS = 20
SLOTS, SECONDS = 120, 5
CAPACITY = 10  # requests a second that a pod carries


def rollout(seed: int, *, rate: float, carries: float = 1.0, asked: float = 1.0) -> list[slots.Slot]:
    """One candidate pod beside two of stable; what exceeds a pod's capacity in a second is shed.

    Args:
        rate: requests a second for each pod, before traffic wanders and swings from second to second.
        carries: of what a stable pod carries.
        asked: of what a stable pod is asked.
    """
    random = np.random.default_rng([11, seed])
    level, found = 1.0, []
    for _ in range(SLOTS):
        level = float(np.clip(level * np.exp(random.normal(0, 0.05)), 0.6, 1.6))
        swing = rate * level * np.exp(random.normal(0, 0.3, SECONDS))
        stable = slots.total(tuple(pod(random.poisson(swing), CAPACITY, name=name) for name in "ab"))
        candidate = slots.total((pod(random.poisson(asked * swing), CAPACITY * carries, name="c"),))
        found.append(slots.Slot(seconds=SECONDS, stable=stable, candidate=candidate))
    return found


def pod(arrived: np.ndarray, capacity: float, *, name: str) -> slots.PodCounts:
    answered = int(np.minimum(arrived, capacity).sum())
    return slots.PodCounts(requests=answered, shed=int(arrived.sum()) - answered, name=name)


def failed(**load: float) -> int:
    """Runs that end in a rollback for shed answers."""
    judged = [verdict.judge(rollout(seed, **load), policy.Policy()) for seed in range(RUNS)]
    assert {one.reason for one in judged if one.outcome is Outcome.FAIL} <= {Reason.SHED_REGRESSED}
    return sum(one.outcome is Outcome.FAIL for one in judged)


@pytest.mark.parametrize(
    "load",
    [
        pytest.param({"rate": 9}, id="some shed"),
        pytest.param({"rate": 14}, id="many shed"),
        pytest.param({"rate": 8, "asked": 1.3}, id="the candidate is asked more"),
        pytest.param({"rate": 6, "asked": 2.0}, id="the candidate is asked twice as much"),
    ],
)
def test_a_version_that_carries_as_much_stays(load):
    assert failed(**load) == 0


def test_a_version_that_carries_half_as_much_goes():
    assert failed(rate=7, carries=0.5) >= RUNS - 2
