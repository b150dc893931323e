"""How sure is a figure: one-sided 95 % limits of shares, of differences between groups, and of paired gains. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import numpy as np

from seatrial_server.prepare import gate
from seatrial_server.trial import metrics

CHANCE = 0.05
_Z = NormalDist().inv_cdf(1 - CHANCE)
_FEW_DIFFERENT = 10
_FEW_ROWS = 30


class Limits(msgspec.Struct, frozen=True):
    """What the true figure is above, and below, with 95 % confidence each."""

    low: float
    high: float


def of_share(events: int, trials: int, *, chance: float = CHANCE) -> Limits:
    """Wilson's limits (1927): honest for shares near 0 and 1 as well, where the normal ones have no width."""
    if not trials:
        return Limits(0.0, 1.0)
    z = _Z if chance == CHANCE else NormalDist().inv_cdf(1 - chance)
    share, square = events / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    reach = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return Limits(max(0.0, middle - reach), min(1.0, middle + reach))


def of(measured: metrics.Measured) -> Limits:
    """A share's own, else normal ones from how far each row moves the figure."""
    if measured.trials:
        return of_share(measured.events, measured.trials)
    reach = _Z * math.sqrt(float(np.mean(measured.influence**2)) / len(measured.influence))
    return Limits(measured.value - reach, measured.value + reach)


def of_gain(candidate: metrics.Measured, stable: metrics.Measured) -> tuple[float, Limits]:
    """How much better the candidate is on the same rows.

    Normal limits of the mean of the rows' differences: of shares ((better + worse) / n - gain^2) / n is its variance.
    Where hardly any row differs that says nothing, and the exact limit of the share that does is used.
    """
    sign = -1 if measured_less(candidate) else 1
    gain = sign * (candidate.value - stable.value)
    moved = sign * (candidate.influence - stable.influence) + gain
    rows = len(moved)
    if candidate.trials and candidate.trials == stable.trials:
        better, worse = int(np.count_nonzero(moved > 1e-12)), int(np.count_nonzero(moved < -1e-12))
        if better + worse < _FEW_DIFFERENT:
            limit = gate.upper_limit
            return gain, Limits(-limit(worse, candidate.trials), limit(better, candidate.trials))
    elif rows < _FEW_ROWS:
        return gain, Limits(-math.inf, math.inf)
    reach = _Z * math.sqrt(float(np.var(moved)) / rows)
    return gain, Limits(gain - reach, gain + reach)


def measured_less(measured: metrics.Measured) -> bool:
    """Whether a smaller figure is the better one."""
    return measured.metric in metrics.LESS_IS_BETTER


def apart(most: tuple[int, int], least: tuple[int, int], *, factor: float = 1.0, chance: float = CHANCE) -> Limits:
    """Limits of least - factor x most, for two shares as (events, trials) of different rows.

    Recovered from the limits of each (Newcombe 1998; Zou and Donner 2008).
    """
    one, other = of_share(*least, chance=chance), of_share(*most, chance=chance)
    low_share, high_share = least[0] / least[1], most[0] / most[1]
    difference = low_share - factor * high_share
    below = math.hypot(low_share - one.low, factor * (other.high - high_share))
    above = math.hypot(one.high - low_share, factor * (high_share - other.low))
    return Limits(difference - below, difference + above)
