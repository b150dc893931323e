"""How rollouts of a version end under the operator's own rules, at a given traffic: found and when, promoted, waiting.

Each step is judged from its own start with its part of the rate of false rollbacks, and ends at the first slot at which
its time and its requests are there and nothing is proven or suspected. Pure; chance is an argument.
"""

from __future__ import annotations

import enum
import math
import statistics

import msgspec
import numpy as np

from seatrial.analysis import course, policy, verdict
from seatrial.api.spec import DEFAULT_PROVIDER, DEFAULT_STEPS, Provider, Spec, Step
from seatrial.plugin import traffic

MOST_SLOTS = 240
LADDER = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class End(enum.StrEnum):
    FOUND = "found"
    PROMOTED = "promoted"
    WAITING = "waiting"


class Run(msgspec.Struct, frozen=True):
    """One rollout: how it ended, after how many seconds with traffic, and requests that the candidate had answered."""

    end: End
    seconds: float
    requests: float


class Ends(msgspec.Struct, frozen=True, rename="camel"):
    """Many rollouts. Seconds and requests are of those that were found: the middle, and nine of ten."""

    found: float
    promoted: float
    waiting: float
    median_seconds: float | None
    most_seconds: float | None
    median_requests: float | None


def all_steps(wish: Spec) -> tuple[Step, ...]:
    """Those of the spec, or the default ones. They share the rate of false rollbacks."""
    return wish.rollout.steps or DEFAULT_STEPS[wish.rollout.traffic.provider or DEFAULT_PROVIDER]


def steps_of(wish: Spec) -> tuple[Step, ...]:
    """The steps that give answers to people: a shadow alone is another question."""
    return tuple(one for one in all_steps(wish) if 0 < one.weight < 100)


def share(step: Step, wish: Spec) -> float:
    """The share that a step really gives: with provider Service it follows the number of pods."""
    if (wish.rollout.traffic.provider or DEFAULT_PROVIDER) is not Provider.SERVICE:
        return step.weight / 100
    pods = candidate_pods(step, wish)
    return pods / (pods + wish.replicas)


def candidate_pods(step: Step, wish: Spec) -> int:
    """As many as the weight asks for, one at least, as many as stable at most."""
    return min(wish.replicas, max(1, round(step.weight * wish.replicas / (100 - step.weight))))


def ends(wish: Spec, arms: traffic.Arms, *, runs: int, seed: int) -> Ends:
    """How `runs` rollouts end. `arms.pods_*` are those of the spec, whatever is given."""
    found = [_run(wish, arms, np.random.default_rng([seed, number])) for number in range(runs)]
    convicted = [one for one in found if one.end is End.FOUND]
    seconds = sorted(one.seconds for one in convicted)
    return Ends(
        found=len(convicted) / runs,
        promoted=sum(one.end is End.PROMOTED for one in found) / runs,
        waiting=sum(one.end is End.WAITING for one in found) / runs,
        median_seconds=statistics.median(seconds) if seconds else None,
        most_seconds=seconds[math.ceil(0.9 * len(seconds)) - 1] if seconds else None,
        median_requests=statistics.median(one.requests for one in convicted) if convicted else None,
    )


def _run(wish: Spec, arms: traffic.Arms, rng: np.random.Generator) -> Run:
    allowed = policy.of(wish.analysis, steps=len(all_steps(wish)), window=1)
    seconds = requests = 0.0
    for step in steps_of(wish):
        own = _arms(arms, step, wish)
        slots = _slots(step, wish)
        rows = traffic.step(own, rng, weight=share(step, wish), slots=slots, interval=allowed.interval)
        judged = course.run(rows, allowed)
        breach = verdict.first_breach(judged)
        due = (np.cumsum(rows.seconds) >= step.min_duration.total_seconds()) & (
            np.cumsum(rows.requests_candidate) >= step.min_requests
        )
        free = due & ~np.any([test.suspected | test.shared for test in judged.tests], axis=0)
        end = int(np.argmax(free)) if free.any() else slots
        if breach is not None and breach[0] <= end:
            upto = slice(breach[0] + 1)
            found = float(rows.seconds[upto].sum()), float(rows.requests_candidate[upto].sum())
            return Run(End.FOUND, seconds + found[0], requests + found[1])
        if end == slots:
            return Run(
                End.WAITING, seconds + float(rows.seconds.sum()), requests + float(rows.requests_candidate.sum())
            )
        seconds += float(rows.seconds[: end + 1].sum())
        requests += float(rows.requests_candidate[: end + 1].sum())
    return Run(End.PROMOTED, seconds, requests)


def _slots(step: Step, wish: Spec) -> int:
    """Until stepTimeout, or twice the least time where that is longer: what hasn't ended then counts as waiting."""
    longest = max(wish.rollout.step_timeout, 2 * step.min_duration)
    return max(4, min(MOST_SLOTS, math.ceil(longest / wish.analysis.interval)))


def _arms(arms: traffic.Arms, step: Step, wish: Spec) -> traffic.Arms:
    return msgspec.structs.replace(
        arms,
        pods_stable=wish.replicas,
        pods_candidate=candidate_pods(step, wish),
        threshold=wish.analysis.latency.threshold.total_seconds(),
    )


def least_found(wish: Spec, step: Step, *, rate: float, healthy: traffic.Version) -> float | None:
    """The least share of failing requests that is convicted within the step at the mean of every count.

    None where not even a version that fails every request is.
    """
    arms = traffic.Arms(rate=rate, stable=healthy, candidate=healthy, pods_stable=1, pods_candidate=1, threshold=1.0)
    arms = _arms(arms, step, wish)
    allowed = policy.of(wish.analysis, steps=len(all_steps(wish)), window=1)
    lasts = max(step.min_duration.total_seconds(), step.min_requests / (rate * share(step, wish)))
    slots = min(MOST_SLOTS, max(1, math.ceil(lasts / allowed.interval)))
    for errors in LADDER:
        failing = msgspec.structs.replace(healthy, errors=errors)
        rows = traffic.expected(
            msgspec.structs.replace(arms, candidate=failing),
            weight=share(step, wish),
            slots=slots,
            interval=allowed.interval,
        )
        if verdict.first_breach(course.run(rows, allowed)) is not None:
            return errors
    return None
