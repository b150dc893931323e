"""Random traffic of one rollout as the table the statistics read: an hour of stable's record, then 25 min of canary.

Poisson arrivals, five stable pods, the candidate's weight going from 10 % to 50 % in five steps. Everything a scenario
can vary is a field of `Scenario`. Vectorised: a rollout takes a few milliseconds.
"""

import dataclasses
import math

import numpy as np

from seatrial.analysis import table

INTERVAL = 15.0
HISTORY, MINUTES = 240, 25
STABLE_PODS = 5
EDGES = (0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
REJECTED, DEGRADED = 0.003, 0.001  # healthy shares


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Shares of requests; seconds; `spread` is the standard deviation of pods' log rates."""

    rate: float = 100.0
    errors: float = 0.005
    candidate_errors: float | None = None
    outage_errors: float | None = None  # of both arms, during the `outage`
    outage: tuple[float, float] = (300, 900)
    burst: float = 1.0
    spread: float = 0.0
    diurnal: bool = False
    median: float = 0.02
    candidate_median: float | None = None
    slow: float = 0.009  # in a tail of its own, far above the threshold of 100 ms
    candidate_slow: float | None = None
    history: int = HISTORY  # slots of stable's record before the canary
    told_apart: bool = True  # counts pod by pod, as the operator has them; a replay file may not
    relayed: bool = False  # all requests come to stable's pods, and a coin decides about each
    own_bursts: bool = False  # bursts are those of pods, not of the requests that come to them


def ramp(interval: float) -> np.ndarray:
    """The candidate's share, slot by slot: 10 % to 50 % in five steps."""
    return np.repeat([0.10, 0.20, 0.30, 0.40, 0.50], round(60 * MINUTES / 5 / interval))


def rollout(
    scenario: Scenario, rng: np.random.Generator, *, weights: np.ndarray, interval: float = INTERVAL
) -> table.Table:
    """One rollout, told apart by pods as the operator sees it."""
    history = scenario.history
    slots = history + len(weights)
    weight = np.concatenate([np.zeros(history), weights])
    rate = scenario.rate * _day(slots, history, interval) if scenario.diurnal else np.full(slots, scenario.rate)
    stable = _pods(np.full(slots, STABLE_PODS), STABLE_PODS)
    wanted = np.maximum(1, np.rint(weight * STABLE_PODS / (1 - weight)))
    candidate = _pods(np.where(weight > 0, wanted, 0), STABLE_PODS)
    shares = np.hstack([stable * (1 - weight)[:, None], candidate * weight[:, None]])
    requests = rng.poisson(rate[:, None] * interval * shares)
    effect = np.exp(scenario.spread * rng.standard_normal(2 * STABLE_PODS))
    probability = _probability(scenario, slots, effect=effect, history=history, interval=interval)
    if scenario.relayed and scenario.burst > 1 and not scenario.own_bursts:
        errors = _shared_bursts(rng, requests, probability, scenario.burst)
    else:
        errors = _bursts(rng, requests, probability, scenario.burst)
    events = _events(scenario, rng, requests=requests, effect=effect, errors=errors)
    rows = _table(requests.astype(float), events.astype(float), history=history, interval=interval)
    rows = dataclasses.replace(rows, by_request=np.full(len(weights), scenario.relayed))
    return rows if scenario.told_apart else _without_pods(rows)


def _pods(count: np.ndarray, most: int) -> np.ndarray:
    """Share of the arm's traffic that each pod gets, slot by slot."""
    present = np.arange(most)[None, :] < count[:, None]
    return present / np.maximum(count, 1)[:, None]


def _day(slots: int, history: int, interval: float) -> np.ndarray:
    """Traffic that rises tenfold and falls again within the canary, and had done so in the hour before."""
    phase = 2 * math.pi * (np.arange(slots) - history) * interval / (60 * MINUTES)
    return 10 ** (-0.5 * np.cos(phase))


MINE = np.arange(2 * STABLE_PODS) >= STABLE_PODS


def _probability(scenario: Scenario, slots: int, *, effect: np.ndarray, history: int, interval: float) -> np.ndarray:
    """Of an error, by slot and pod."""
    errors = np.where(MINE, _or(scenario.candidate_errors, scenario.errors), scenario.errors) * effect
    probability = np.broadcast_to(errors, (slots, 2 * STABLE_PODS)).copy()
    if scenario.outage_errors is not None:
        first, last = (history + round(seconds / interval) for seconds in scenario.outage)
        probability[first:last] = scenario.outage_errors
    return probability


def _events(
    scenario: Scenario, rng: np.random.Generator, *, requests: np.ndarray, effect: np.ndarray, errors: np.ndarray
) -> np.ndarray:
    """[slots, pods, columns] as in the table."""
    first = [errors]
    first += [rng.binomial(requests, share) for share in (REJECTED, DEGRADED)]
    first.append(np.zeros_like(requests))  # nobody sheds
    slower = _slower(scenario, rng, requests=requests, effect=effect, mine=MINE)
    return np.concatenate([np.stack(first, axis=-1), slower], axis=-1)


def _bursts(rng: np.random.Generator, requests: np.ndarray, probability: np.ndarray, size: float) -> np.ndarray:
    if size == 1:
        return rng.binomial(requests, np.minimum(probability, 1))
    bursts = rng.poisson(requests * probability / size)
    return np.minimum(requests, bursts + rng.poisson(bursts * (size - 1)))


def _shared_bursts(rng: np.random.Generator, requests: np.ndarray, probability: np.ndarray, size: float) -> np.ndarray:
    """Bursts of bad requests that come to stable's pods; a coin decides about each request of them, and the pod that
    gets it how likely it fails.
    """
    everything = requests.sum(axis=1)
    highest = np.minimum(probability.max(axis=1), 1)
    bad = _bursts(rng, everything, highest, size)
    shares = requests / np.maximum(everything, 1)[:, None]
    shares[everything == 0, 0] = 1
    given = np.minimum(rng.multinomial(bad, shares), requests)
    return rng.binomial(given, np.minimum(probability / np.maximum(highest, 1e-12)[:, None], 1))


def _slower(
    scenario: Scenario, rng: np.random.Generator, *, requests: np.ndarray, effect: np.ndarray, mine: np.ndarray
) -> np.ndarray:
    median = np.where(mine, _or(scenario.candidate_median, scenario.median), scenario.median)
    slow = np.where(mine, _or(scenario.candidate_slow, scenario.slow), scenario.slow) * effect
    exceeds = (1 - slow)[:, None] * _above(median[:, None], 0.5) + slow[:, None] * _above(np.array([[0.3]]), 0.2)
    whole = np.hstack([np.ones((len(exceeds), 1)), exceeds, np.zeros((len(exceeds), 1))])
    buckets = rng.multinomial(requests, np.broadcast_to(-np.diff(whole), (*requests.shape, len(EDGES) + 1)))
    return requests[..., None] - np.cumsum(buckets[..., :-1], axis=-1)


def _above(median: np.ndarray, sigma: float) -> np.ndarray:
    """P(lognormal > edge) for each edge."""
    scores = (np.log(np.array(EDGES))[None, :] - np.log(median)) / (sigma * math.sqrt(2))
    return 0.5 * np.vectorize(math.erfc)(scores)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _without_pods(rows: table.Table) -> table.Table:
    one = np.ones(len(rows.seconds))
    return dataclasses.replace(
        rows, pods_candidate=one, pods_stable=one, record=_merged(rows.record), trial=_merged(rows.trial)
    )


def _merged(record: table.Record) -> table.Record:
    return table.Record(
        record.blocks, record.requests.sum(axis=1, keepdims=True), record.events.sum(axis=1, keepdims=True)
    )


def _table(requests: np.ndarray, events: np.ndarray, *, history: int, interval: float) -> table.Table:
    stable, candidate = slice(0, STABLE_PODS), slice(STABLE_PODS, None)
    slots = len(requests) - history
    blocks = table.blocks([interval] * len(requests))
    return table.Table(
        edges=tuple(str(edge) for edge in EDGES),
        seconds=np.full(slots, interval),
        requests_candidate=requests[history:, candidate].sum(axis=1),
        requests_stable=requests[history:, stable].sum(axis=1),
        asked_candidate=requests[history:, candidate].sum(axis=1),
        asked_stable=requests[history:, stable].sum(axis=1),
        timed_candidate=requests[history:, candidate].sum(axis=1),
        unreachable_candidate=np.zeros(slots),
        late_candidate=np.zeros(slots),
        copies_compared=np.zeros(slots),
        rows_compared=np.zeros(slots),
        rows_different=np.zeros(slots),
        by_request=np.zeros(slots, dtype=bool),
        events_candidate=events[history:, candidate].sum(axis=1),
        events_stable=events[history:, stable].sum(axis=1),
        known=np.ones((slots, events.shape[-1])),
        unseen=np.zeros((slots, len(table.METRICS)), dtype=bool),
        timed=np.ones(slots, dtype=bool),
        pods_candidate=np.maximum(1, (requests[history:, candidate] > 0).sum(axis=1)),
        pods_stable=np.maximum(1, (requests[history:, stable] > 0).sum(axis=1)),
        record=table.Record(blocks, requests[:, stable], events[:, stable]),
        trial=table.Record(blocks, requests[:, candidate], events[:, candidate]),
    )
