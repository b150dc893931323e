"""How much noisier than independent rows a column is: phi, which tempers its evidence.

Two looks at the past, of which the noisier counts. Between pods, hour by hour: an hour's rows should fall on the pods
alike; rows that come in clumps (batches, repeated users) do not. Between days: what makes whole days differ, all
pods alike. Both are sums of squares over their degrees of freedom (Pearson), drawn to `DEFAULT` so that little data
does not look calm by luck.

Rows of the judged window may enter the first: how they split between pods says nothing of their sums. A pair of days
counts for at most `CAPPED` times what is expected, so that one jump can't hide itself.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from seatrial.drift.columns import Floats

FLOOR, CAP = 1.1, 1e6
DEFAULT, WEIGHT = 4.0, 5.0
FEW_ROWS = 5
CAPPED = 3.0
PAIRS = 3
"""So many pairs of days before they count."""


@dataclasses.dataclass(frozen=True)
class Sums:
    """Squares, and what independent rows would make of them. [...]"""

    squares: Floats
    freedom: Floats

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.squares + other.squares, self.freedom + other.freedom)


@dataclasses.dataclass(frozen=True)
class Noise:
    """What is known of one question to a column; `pairs` of days have been compared. Each [...]"""

    pods: Sums
    days: Sums
    pairs: int = 0


NOTHING = Sums(np.zeros(()), np.zeros(()))
UNKNOWN = Noise(NOTHING, NOTHING)


def split(parts: Floats) -> Sums:
    """Of the split of rows between some pods, or some times: [parts, ..., bins] -> [...].

    Pearson's chi-square of the table of parts and bins, over bins with at least five rows.
    """
    both = parts.sum(axis=0)
    sizes = parts.sum(axis=-1, keepdims=True)
    share = sizes / np.maximum(sizes.sum(axis=0), 1)
    expected = both * share
    usable = both >= FEW_ROWS
    squares = np.where(usable & (expected > 0), (parts - expected) ** 2 / np.maximum(expected, 1e-9), 0.0)
    busy = np.maximum((sizes[..., 0] > 0).sum(axis=0) - 1, 0)
    freedom = busy * np.maximum(usable.sum(axis=-1) - 1, 0)
    return Sums(squares.sum(axis=(0, -1)), freedom.astype(np.float64))


def estimate(sums: Sums) -> Floats:
    """The dispersion that some sums show."""
    found = (sums.squares + WEIGHT * DEFAULT) / (sums.freedom + WEIGHT)
    return np.minimum(np.maximum(found, FLOOR), CAP)


def pods(noise: Noise) -> Floats:
    """Dispersion within hours alone: what the last hour, and single days, differ by."""
    return estimate(noise.pods)


def of(noise: Noise) -> Floats:
    """The dispersion in force: [...]."""
    within = estimate(noise.pods)
    return within if noise.pairs < PAIRS else np.maximum(within, estimate(noise.days))


def after_hour(noise: Noise, parts: Floats) -> Noise:
    """One more hour: rows by pod, or with one pod this hour and the one before."""
    return dataclasses.replace(noise, pods=noise.pods + split(parts))


def after_day(noise: Noise, before: Floats, day: Floats) -> Noise:
    """One more pair of whole days."""
    found = split(np.stack([before, day]))
    most = CAPPED * of(noise) * found.freedom
    days = noise.days + Sums(np.minimum(found.squares, most), found.freedom)
    return dataclasses.replace(noise, days=days, pairs=noise.pairs + 1)
