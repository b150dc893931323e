"""Whole rollouts under the operator's rule for steps: who is promoted, who is rolled back, who is kept waiting.

Each step is judged from its own start, with alpha divided by the steps, and ends at the first slot at which its time
and its requests are there and nothing is proven or, with `suspicion`, suspected.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from tests.simulation import traffic
from tests.simulation.traffic import Scenario

from seatrial.analysis import course, policy, verdict

ALPHA = 0.01
MOST_ERRORS = policy.Errors().max


@dataclasses.dataclass(frozen=True)
class Step:
    """`weight` as a share; `seconds` and `requests` that it takes at least."""

    weight: float
    seconds: float
    requests: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps, the length of a slot, and how many slots a step may last."""

    name: str
    steps: Sequence[Step]
    interval: float
    slots: int = 60


SHORT = Plan("two steps of 10 s and 30 requests", (Step(0.1, 10, 30), Step(0.5, 10, 30)), 5.0)
QUICK = Plan("two steps of 20 s, 50 and 100 requests", (Step(0.1, 20, 50), Step(0.5, 20, 100)), 5.0)
MINUTES = Plan("two steps of 60 s at 20 % and 50 %", (Step(0.2, 60, 0), Step(0.5, 60, 0)), 5.0, 120)
DEFAULT = Plan("the default: 2m, 100 and 500 requests", (Step(0.1, 120, 100), Step(0.5, 120, 500)), 15.0)


@dataclasses.dataclass(frozen=True)
class Ends:
    """Shares of runs, and of those promoted the share that had to wait."""

    promoted: float
    rolled_back: float
    waited: float


def ends(
    scenario: Scenario, plan: Plan, *, runs: int, seed: int, suspicion: bool = True, most_errors: float = MOST_ERRORS
) -> Ends:
    """How `runs` rollouts end."""
    found = [
        _end(scenario, plan, np.random.default_rng([seed, run]), suspicion=suspicion, most_errors=most_errors)
        for run in range(runs)
    ]
    promoted = [slots for end, slots in found if end == "promoted"]
    return Ends(
        promoted=len(promoted) / runs,
        rolled_back=sum(end == "rolled back" for end, _ in found) / runs,
        waited=float(np.mean(np.array(promoted) > 0)) if promoted else 0.0,
    )


def _end(
    scenario: Scenario, plan: Plan, rng: np.random.Generator, *, suspicion: bool, most_errors: float
) -> tuple[str, int]:
    """The end, and for how many slots steps were held by suspicion."""
    errors = policy.Errors(max=most_errors)
    limits = policy.Policy(false_rollback_rate=ALPHA / len(plan.steps), interval=plan.interval, errors=errors)
    held = 0
    for step in plan.steps:
        rows = traffic.rollout(scenario, rng, weights=np.full(plan.slots, step.weight), interval=plan.interval)
        judged = course.run(rows, limits)
        breach = verdict.first_breach(judged)
        due = (np.cumsum(rows.seconds) >= step.seconds) & (np.cumsum(rows.requests_candidate) >= step.requests)
        free = due & ~np.any([test.suspected | test.shared for test in judged.tests], axis=0) if suspicion else due
        first, end = (int(np.argmax(mask)) if mask.any() else plan.slots for mask in (due, free))
        if breach is not None and breach[0] <= end:
            return "rolled back", held
        if end == plan.slots:
            return "waiting", held
        held += end - first
    return "promoted", held
