"""The two tests, as courses over time: worse than stable, and too bad in itself. Both may be looked at at any time.

Arrays run over slots on their first axis; further axes (metrics, histogram edges) broadcast. Nothing here decides.

Each course is an e-process: under its hypothesis the chance that it *ever* reaches 1/alpha is at most alpha (Ville). It
stays one when margin and dispersion change from slot to slot, provided each slot's values come from earlier slots
only: a factor raised to a power 1/phi <= 1 still has a mean of at most 1 (Jensen), and a larger margin only widens what
counts as healthy.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATIOS: Floats = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0])
BETTER: Floats = np.array([0.9, 0.8, 0.65, 0.5, 0.33, 0.2, 0.1])
# Of slower requests, which are not rare: there a version can be worse by little and it is still many.
SLOWER_RATIOS: Floats = np.array([1.1, 1.2, 1.35, 1.6, 2.0, 3.0, 10.0, 50.0])
HIGHEST_SLOWER = 0.99
EXCESSES: Floats = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0])
HIGHEST_SHARE = 0.95
LOWEST_SHARE = 1e-6  # "at most 0 %" would make the first event infinite evidence

_STEP = math.log(1.05)
_STEPS = np.rint(np.log(RATIOS) / _STEP).astype(int)
_FARTHEST = int(_STEPS.max())
_RATIO_GRID: Floats = np.exp(_STEP * np.arange(-80 - _FARTHEST, 110 + _FARTHEST))  # limits between 0.02 and 200
SHARE_GRID: Floats = np.geomspace(1e-5, 0.95, 236)
LIMIT_ERROR = 0.01
POOLED_FROM = 200  # slots
POOLED_ODDS = 0.02


def relative(
    candidate: Floats,
    stable: Floats,
    *,
    odds: Floats,
    margin: Floats | float,
    dispersion: Floats | float,
    ratios: Floats = RATIOS,
) -> Floats:
    """Natural log of the evidence after each slot that the candidate's event rate exceeds `margin` times stable's.

    Likelihood ratio of Lindon & Malek (arXiv:2011.03567) on measured traffic: given the events of a slot, their split
    between the arms is binomial with odds `ratio * odds`. Averaged over `RATIOS` times the margin. Only the split
    counts, so traffic swings and shared outages cancel. (Events that are not rare split hypergeometrically, which is
    less spread: the test stays valid.)

    Args:
        candidate: events on the candidate, per slot.
        stable: events on stable, per slot.
        odds: candidate requests / stable requests, per slot; 0 where either arm had none: such slots say nothing.
        margin: ratio up to which the candidate counts as no worse.
        dispersion: at least 1; tempers the slot's evidence for bursts.
        ratios: alternatives, in units of the margin. Below 1 (`BETTER`) the evidence is that the rate is less than
            `margin` times stable's.
    """
    x, events = candidate[..., None], (candidate + stable)[..., None]
    at_margin = _wide(margin) * odds[..., None]
    weight = (odds > 0)[..., None] / _wide(dispersion)
    steps = weight * (x * np.log(ratios) - events * np.log((1 + at_margin * ratios) / (1 + at_margin)))
    return log_mean_exp(np.cumsum(steps, axis=0))


def slower(
    candidate: Floats,
    stable: Floats,
    *,
    requests: tuple[Floats, Floats],
    known: Floats,
    margin: Floats,
    dispersion: Floats | float,
) -> Floats:
    """`relative` for events that are not rare: requests that were fast count as well.

    Slow requests split between the arms with odds `ratio * odds`, fast ones with odds `(1 - ratio s) / (1 - s) * odds`,
    s stable's share of slow ones. The product of both likelihood ratios is, to second order, that of the two binomials.
    s is the one that the slot's own totals and the margin imply, so that slowness shared by both arms cancels.

    Args:
        candidate: slow requests on the candidate, per slot and edge.
        stable: slow requests on stable.
        requests: of candidate and stable, per slot.
        known: 0 where the edge can't be told in the slot.
    """
    n_c, n_s = (one[:, None] for one in requests)
    both = (n_c > 0) & (n_s > 0) & (known > 0)
    x, total = candidate, candidate + stable
    share = np.divide(total, n_s + margin * n_c, out=np.zeros_like(total), where=both)
    null = np.minimum(share * margin, HIGHEST_SLOWER)[..., None]
    stables = np.minimum(share, HIGHEST_SLOWER)[..., None]
    worse = np.minimum(null * SLOWER_RATIOS, np.maximum(null, HIGHEST_SLOWER))
    odds = np.divide(n_c, n_s, out=np.zeros_like(total), where=both)[..., None]
    steps = np.zeros_like(worse)
    fast_odds = odds * (1 - null) / (1 - stables)
    fast = (1 - worse) / (1 - null)
    ratio = np.where(null > 0, worse / np.where(null > 0, null, 1), SLOWER_RATIOS)
    slow_odds = odds * np.where(stables > 0, null / np.where(stables > 0, stables, 1), margin[..., None])
    events, rest = total[..., None], np.maximum(n_c + n_s - total, 0)[..., None]
    steps += x[..., None] * np.log(ratio) - events * np.log((1 + slow_odds * ratio) / (1 + slow_odds))
    steps += (n_c - x)[..., None] * np.log(fast) - rest * np.log((1 + fast_odds * fast) / (1 + fast_odds))
    weight = both[..., None] / _wide(dispersion)
    return log_mean_exp(np.cumsum(np.where(both[..., None], steps, 0) * weight, axis=0))


def absolute(
    events: Floats,
    requests: Floats,
    *,
    most: Floats | float,
    dispersion: Floats | float,
    excesses: Floats = EXCESSES,
) -> Floats:
    """Natural log of the evidence after each slot that an event happens to more than the share `most` of requests.

    Mean over alternatives `most * excesses`, at most 95 %, of binomial likelihood ratios; with `BETTER` the evidence is
    that it happens to less.
    """
    limit = _wide(np.maximum(most, LOWEST_SHARE))
    alternatives = np.minimum(HIGHEST_SHARE, limit * excesses)
    x, rest = events[..., None], np.maximum(requests - events, 0)[..., None]
    steps = x * np.log(alternatives / limit) + rest * np.log((1 - alternatives) / (1 - limit))
    return log_mean_exp(np.cumsum(steps / _wide(dispersion), axis=0))


def ratio_limits(candidate: Floats, stable: Floats, *, odds: Floats, dispersion: Floats | float) -> tuple[float, float]:
    """Lower and upper limit of the ratio of rates after the last slot: each holds at all times at once with 99 %.

    The verdict's own kind of evidence, inverted: below the lower limit lie the ratios r for which "at most r" is
    refuted with evidence 100 (alternatives `RATIOS` * r, rounded to the grid's steps of 5 %), above the upper one those
    for which "at least r" is. 0 and infinity where nothing is refuted. Unlike the verdict they know no spread
    between pods.
    """
    weight = np.where(odds > 0, 1 / np.broadcast_to(np.asarray(dispersion, dtype=np.float64), odds.shape), 0.0)
    hits = float((weight * candidate).sum())
    events, odds = _pooled(weight * (candidate + stable), odds)
    likelihood = hits * np.log(_RATIO_GRID) - events @ np.log1p(odds[:, None] * _RATIO_GRID)
    here = slice(_FARTHEST, len(_RATIO_GRID) - _FARTHEST)
    above = _mean_of_shifted(likelihood, _STEPS) - likelihood[here] >= -math.log(LIMIT_ERROR)
    below = _mean_of_shifted(likelihood, -_STEPS) - likelihood[here] >= -math.log(LIMIT_ERROR)
    return _around(above, below[::-1], _RATIO_GRID[here])


def share_limits(events: Floats, requests: Floats, *, dispersion: Floats | float) -> tuple[float, float]:
    """Limits of the share of bad events after the last slot, that hold at all times at once with 99 %.

    Between them lie the shares whose tempered likelihood is within 1/100 of the mean over a grid of all shares: against
    each single one that mean is an e-process.
    """
    hits = float((events / dispersion).sum())
    rest = float((np.maximum(requests - events, 0) / dispersion).sum())
    likelihood = hits * np.log(SHARE_GRID) + rest * np.log1p(-SHARE_GRID)
    refuted = likelihood <= log_mean_exp(likelihood) + math.log(LIMIT_ERROR)
    return _around(refuted, refuted[::-1], SHARE_GRID)


def _pooled(events: Floats, odds: Floats) -> tuple[Floats, Floats]:
    """Slots with events; of a long window those with odds alike (within 2 %) together, at their mean odds."""
    some = events > 0
    events, odds = events[some], odds[some]
    if len(events) <= POOLED_FROM:
        return events, odds
    _, place = np.unique(np.rint(np.log(odds) / POOLED_ODDS), return_inverse=True)
    sums = np.bincount(place, weights=events).astype(np.float64)
    return sums, np.bincount(place, weights=events * odds).astype(np.float64) / sums


def _mean_of_shifted(likelihood: Floats, shifts: npt.NDArray[np.int_]) -> Floats:
    """For each inner point of the grid, log of the mean likelihood at the points `shifts` away."""
    count = likelihood.shape[-1] - 2 * _FARTHEST
    starts = [_FARTHEST + int(shift) for shift in shifts]
    total = np.full((*likelihood.shape[:-1], count), -np.inf)
    for start in starts:
        np.logaddexp(total, likelihood[..., start : start + count], out=total)
    return total - math.log(len(starts))


def _around(
    refuted_upwards: npt.NDArray[np.bool_], refuted_downwards: npt.NDArray[np.bool_], grid: Floats
) -> tuple[float, float]:
    """Ends of the unbroken runs of refuted points from either end of the grid; 0 and infinity for no run."""
    low = int(np.logical_and.accumulate(refuted_upwards).sum())
    high = int(np.logical_and.accumulate(refuted_downwards).sum())
    return (float(grid[low - 1]) if low else 0.0), (float(grid[len(grid) - high]) if high else math.inf)


def log_mean_exp(values: Floats, axis: int = -1) -> Floats:
    """log(mean(exp(values))) without overflow."""
    top = values.max(axis=axis, keepdims=True)
    mean: Floats = np.log(np.mean(np.exp(values - top), axis=axis)) + np.squeeze(top, axis=axis)
    return mean


def _wide(values: Floats | float) -> Floats:
    """Room for the axis of alternatives; numbers that hold for every slot stay scalars."""
    return np.asarray(values, dtype=np.float64)[..., None]
