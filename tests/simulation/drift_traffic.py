"""Traffic of a deployment for months, as counts in frozen bins hour by hour, for many columns at once.

Values are normal; the bins are deciles of a reference of so many rows, so their true shares are not exactly a tenth.
Everything a scenario can vary is a field of `Traffic`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from scipy import special

from seatrial.drift import columns

BINS = 10
COLUMN = columns.Column(
    name="income",
    bins=("missing", "below", *(str(number) for number in range(1, BINS + 1)), "above"),
    reference=(0.0, 0.0, *(1 / BINS,) * BINS, 0.0),
    rows=2000,
)
PLACES = len(COLUMN.bins) + columns.REFUSED
MISSING, FIRST, ABOVE = 0, 2, BINS + 2
PODS = 2
CLUMP = 10.0


def nothing(hour: int) -> float:
    return 0.0


@dataclasses.dataclass(frozen=True)
class Traffic:
    """`shift` in standard deviations, `missing` and `outside` as shares of rows, each by the hour."""

    per_day: float
    clumps: bool = False
    nights: bool = False
    """Traffic times nine between night and day, and the mean moves by half a standard deviation."""
    weekends: float = 0.0
    wandering: float = 0.0
    """Standard deviation of the deployment's mean, correlated by 0.9 from hour to hour."""
    rows: int = 2000
    """Of the reference."""
    shift: Callable[[int], float] = nothing
    missing: Callable[[int], float] = nothing
    outside: Callable[[int], float] = nothing


@dataclasses.dataclass(frozen=True)
class Hour:
    """Rows by pod, [PODS, columns, PLACES], and how many are expected: [columns, PLACES]."""

    pods: np.ndarray
    expected: np.ndarray


def column(traffic: Traffic) -> columns.Column:
    """What the reference says, which was taken before anything changed."""
    missing = traffic.missing(0)
    inner = (1 - missing) / BINS
    return msgspec.structs.replace(COLUMN, rows=traffic.rows, reference=(missing, 0.0, *(inner,) * BINS, 0.0))


def hours(traffic: Traffic, *, deployments: int, features: int, days: int, seed: int) -> Iterator[Hour]:
    """Hour after hour, for deployments * features columns."""
    random = np.random.default_rng([7, seed])
    count = deployments * features
    hour = np.arange(days * 24)
    base = traffic.per_day / 24 * (1 + 0.8 * np.sin(2 * np.pi * hour / 24) if traffic.nights else np.ones(len(hour)))
    mean = 0.5 * np.sin(2 * np.pi * hour / 24 + 1.0) if traffic.nights else np.zeros(len(hour))
    mean = mean + np.where((hour // 24) % 7 >= 5, traffic.weekends, 0.0)
    edges = _edges(random, traffic.rows, count, mean=mean[:168], base=base[:168])
    wander = np.zeros(deployments)
    for now in range(days * 24):
        if traffic.wandering:
            wander = 0.9 * wander + traffic.wandering * np.sqrt(1 - 0.81) * random.standard_normal(deployments)
        centre = np.repeat(mean[now] + wander, features) + traffic.shift(now)
        shares = np.maximum(np.diff(special.ndtr(edges - centre[:, None]), axis=1), 0)
        places = _places(traffic, shares / shares.sum(axis=1, keepdims=True), now=now)
        yield Hour(_pods(random, traffic, places, rate=base[now]), places * base[now])


def _edges(random: np.random.Generator, rows: int, count: int, *, mean: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Deciles of a sample of `rows`: in shares of their source (beta, in order), then as values of the mixed week."""
    at = np.arange(1, BINS) * rows / BINS
    cuts = np.sort(random.beta(at, rows + 1 - at, size=(count, BINS - 1)), axis=1)
    grid = np.linspace(-6, 6, 4001)
    mixed = (special.ndtr(grid[:, None] - mean) * base).sum(axis=1) / base.sum()
    infinite = np.full((count, 1), np.inf)
    return np.concatenate([-infinite, np.interp(cuts, mixed, grid), infinite], axis=1)


def _places(traffic: Traffic, shares: np.ndarray, *, now: int) -> np.ndarray:
    """Bad values take their part of every bin."""
    missing, outside = traffic.missing(now), traffic.outside(now)
    places = np.zeros((len(shares), PLACES))
    places[:, FIRST : FIRST + BINS] = shares * (1 - missing - outside)
    places[:, MISSING], places[:, ABOVE] = missing, outside
    return places


def _pods(random: np.random.Generator, traffic: Traffic, places: np.ndarray, *, rate: float) -> np.ndarray:
    """The pods get halves."""
    rows = random.poisson(np.full(len(places), rate))
    clump = CLUMP if traffic.clumps else 1.0
    halves = (rows // 2, rows - rows // 2)
    return np.stack([_counts(random, half, places, clump) for half in halves]).astype(float)


def _counts(random: np.random.Generator, rows: np.ndarray, shares: np.ndarray, clump: float) -> np.ndarray:
    """[count, PLACES]; in clumps: groups of a geometric size, all of a group in one bin."""
    if clump <= 1:
        return random.multinomial(rows, shares)
    groups = random.multinomial(np.maximum(1, (rows / clump).astype(int)), shares)
    return groups + random.negative_binomial(np.maximum(groups, 1), 1 / clump) * (groups > 0)
