"""Which changes of a distribution are looked for: the share of a set of bins grows. And what one row says about each.

"Total variation at most delta" means that the share of no set exceeds the reference's by more than delta. So each set
is a hypothesis of its own, which words can name ("above 52000"), and evidence against it is linear in the counts.
"""

from __future__ import annotations

import functools

import numpy as np

from seatrial.drift.columns import Array, Floats

EXCESSES: Floats = np.array([1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0])
"""Alternatives, times the share that is tolerated."""
RARE_EXCESSES: Floats = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0])
"""The same for shares that are small: missing values and those that the reference lacks."""
HIGHEST = 0.95
_NEVER = -np.inf


@functools.lru_cache(maxsize=128)
def family(bins: int, *, ordered: bool) -> Floats:
    """The sets as rows of 0 and 1: [sets, bins].

    Each bin, all but it, every head and tail; of numbers the middles and both ends as well. Categories stand in the
    order of their share in the reference, most frequent first, so that heads are the frequent ones.
    """
    single = np.eye(bins, dtype=int)
    rows = {tuple(row) for row in single} | {tuple(row) for row in 1 - single}
    for size in range(1, bins):
        head = (1,) * size + (0,) * (bins - size)
        rows |= {head, tuple(1 - part for part in head)}
    for size in range(1, bins // 2) if ordered else ():
        middle = (0,) * size + (1,) * (bins - 2 * size) + (0,) * size
        rows |= {middle, tuple(1 - part for part in middle)}
    return np.array(sorted(rows), dtype=np.float64)


def log_terms(counts: Floats, chosen: Floats, most: Floats, excesses: Floats = EXCESSES) -> Floats:
    """What the rows of a window say for each set and alternative: [..., sets, alternatives].

    Under "the share of the set is at most `most`" the likelihood ratio of `most` times an excess has a mean of at most
    1 for every row, also while the share moves below it. Its logarithm adds up over rows, so that the rows in the set
    and the others are all it takes. Alternatives end at 95 %; what lies no higher than `most` is none: minus infinity.

    counts [..., bins], chosen [sets, bins], most [..., sets].
    """
    limit = most[..., None]
    alternative = np.minimum(HIGHEST, limit * excesses)
    higher = alternative > limit
    limit = np.where(higher, limit, alternative / 2)
    hits = (counts @ chosen.T)[..., None]
    others = counts.sum(axis=-1)[..., None, None] - hits
    inside, outside = np.log(alternative / limit), np.log((1 - alternative) / (1 - limit))
    return np.where(higher, hits * inside + others * outside, _NEVER)


def log_evidence(terms: Floats, dispersion: Array) -> Floats:
    """Natural log of the evidence of one window: the mean over all sets and alternatives, tempered by the dispersion.

    An e-value: a power 1/phi <= 1 of a factor with mean at most 1 still has such a mean (Jensen). terms as of
    `log_terms`, dispersion [...]; result [...], minus infinity where there is no alternative at all.
    """
    flat = terms.reshape(*terms.shape[:-2], -1) / np.asarray(dispersion)[..., None]
    some = np.count_nonzero(flat != _NEVER, axis=-1)
    top = np.where(some > 0, flat.max(axis=-1), 0.0)
    total = np.exp(flat - top[..., None]).sum(axis=-1)
    return np.where(some > 0, top + np.log(np.maximum(total, 1) / np.maximum(some, 1)), _NEVER)
