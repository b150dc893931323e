"""Random requests of one step of a canary, as the table that the statistics read: for `power` and for advice.

Poisson arrivals at a constant rate, every pod of an arm alike. Times are lognormal around a fifth of the threshold,
with a tail above it. `expected` has no chance in it: every count is its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial.analysis import table
from seatrial.analysis.evidence import Floats

EDGES_OF_THRESHOLD = (0.02, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
USUAL, BODY, TAIL, TAIL_BODY = 0.2, 0.5, 3.0, 0.2  # median and spread of the times, in thresholds; the same of the tail
HISTORY_SECONDS = 3600.0  # as much as the operator keeps of stable alone
REJECTED, DEGRADED = 0.003, 0.001  # healthy shares


class Version(msgspec.Struct, frozen=True):
    """How a version behaves: shares of its requests, and how much longer all of them take."""

    errors: float
    slow: float
    slower: float = 1.0


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers: requests a second of both together, pods of each, and how both behave."""

    rate: float
    stable: Version
    candidate: Version
    pods_stable: int
    pods_candidate: int
    threshold: float  # seconds


def step(arms: Arms, rng: np.random.Generator, *, weight: float, slots: int, interval: float) -> table.Table:
    """One step at random, `weight` as a share, after an hour of stable alone."""
    before = max(1, round(HISTORY_SECONDS / interval))
    stable = _stable(arms, rng, before + slots, interval=interval, share=[1.0] * before + [1 - weight] * slots)
    candidate = _counts(arms, rng, arms.candidate, arms.pods_candidate, rates=[arms.rate * weight * interval] * slots)
    return _table(arms, stable, candidate, before=before, interval=interval)


def expected(arms: Arms, *, weight: float, slots: int, interval: float) -> table.Table:
    """The same with the mean in the place of every count."""
    before = max(1, round(HISTORY_SECONDS / interval))
    stable_rates = [arms.rate * interval] * before + [arms.rate * (1 - weight) * interval] * slots
    stable = _means(arms, arms.stable, arms.pods_stable, stable_rates)
    candidate = _means(arms, arms.candidate, arms.pods_candidate, [arms.rate * weight * interval] * slots)
    return _table(arms, stable, candidate, before=before, interval=interval)


Counts = tuple[Floats, Floats]  # requests [slots, pods], events [slots, pods, columns]


def _stable(arms: Arms, rng: np.random.Generator, slots: int, *, interval: float, share: Sequence[float]) -> Counts:
    rates = [arms.rate * part * interval for part in share]
    return _counts(arms, rng, arms.stable, arms.pods_stable, rates=rates)


def _counts(arms: Arms, rng: np.random.Generator, version: Version, pods: int, *, rates: Sequence[float]) -> Counts:
    requests = rng.poisson(np.repeat(np.array(rates)[:, None] / pods, pods, axis=1))
    few = [rng.binomial(requests, share) for share in (version.errors, REJECTED, DEGRADED)]
    exceeds = np.concatenate([[1.0], _exceeds(version, arms.threshold), [0.0]])
    buckets = rng.multinomial(requests, -np.diff(exceeds))
    slower = requests[..., None] - np.cumsum(buckets[..., :-1], axis=-1)
    events = np.concatenate([np.stack([*few, np.zeros_like(requests)], axis=-1), slower], axis=-1)
    return requests.astype(float), events.astype(float)


def _means(arms: Arms, version: Version, pods: int, rates: Sequence[float]) -> Counts:
    requests = np.repeat(np.array(rates, dtype=float)[:, None] / pods, pods, axis=1)
    shares = np.concatenate([[version.errors, REJECTED, DEGRADED, 0.0], _exceeds(version, arms.threshold)])
    return requests, requests[..., None] * shares


def _exceeds(version: Version, threshold: float) -> Floats:
    """Share of the requests that take longer than each edge."""
    edges = np.array(edges_of(threshold)) / threshold
    body, tail = _above(edges, USUAL * version.slower, BODY), _above(edges, TAIL * version.slower, TAIL_BODY)
    shares: Floats = (1 - version.slow) * body + version.slow * tail
    return shares


def _above(edges: Floats, median: float, sigma: float) -> Floats:
    scores = (np.log(edges) - math.log(median)) / (sigma * math.sqrt(2))
    return np.array([0.5 * math.erfc(score) for score in scores])


def edges_of(threshold: float) -> tuple[float, ...]:
    """Histogram edges around the threshold, which is one of them, as a server has them."""
    return tuple(threshold * part / 0.1 for part in EDGES_OF_THRESHOLD if part <= 1.0)


def _table(arms: Arms, stable: Counts, candidate: Counts, *, before: int, interval: float) -> table.Table:
    requests, events = stable[0][before:], stable[1][before:]
    slots, columns = len(requests), events.shape[-1]
    blocks = table.blocks([interval] * (before + slots))
    mine, theirs = candidate[0].sum(axis=1), requests.sum(axis=1)
    nothing, none = np.zeros(slots), np.zeros(slots, dtype=bool)
    trial = [np.concatenate([np.zeros((before, *counts.shape[1:])), counts]) for counts in candidate]
    return table.Table(
        edges=tuple(f"{edge:.12g}" for edge in edges_of(arms.threshold)),
        seconds=np.full(slots, interval),
        requests_candidate=mine,
        requests_stable=theirs,
        asked_candidate=mine,
        asked_stable=theirs,
        timed_candidate=mine,
        unreachable_candidate=nothing,
        late_candidate=nothing,
        copies_compared=nothing,
        rows_compared=nothing,
        rows_different=nothing,
        by_request=none,
        events_candidate=candidate[1].sum(axis=1),
        events_stable=events.sum(axis=1),
        known=np.ones((slots, columns)),
        unseen=np.zeros((slots, len(table.METRICS)), dtype=bool),
        timed=np.ones(slots, dtype=bool),
        pods_candidate=np.full(slots, float(arms.pods_candidate)),
        pods_stable=np.full(slots, float(arms.pods_stable)),
        record=table.Record(blocks, stable[0], stable[1]),
        trial=table.Record(blocks, trial[0], trial[1]),
    )
