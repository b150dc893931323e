"""How often the model is right, expected from its confidence alone. Told, never judged: the world may have changed.

Rows of the holdout say how often an answer of a given confidence was right; live rows say how confident answers are
now. Where what is asked has moved, that moves with it; where the right answers have changed, it does not see it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

_NORMAL = 1.96
"""Quantile of 95 % limits, of the holdout's rows alone: live rows are many."""


class Expected(msgspec.Struct, frozen=True):
    """The share of right answers, with 95 % limits."""

    value: float
    low: float
    high: float


def accuracy(live: Sequence[float], right: Sequence[float], rows: Sequence[float]) -> Expected | None:
    """What is expected of live rows per bin of confidence; None while there are none.

    `right` of `rows` is the holdout's, bin by bin. An empty bin counts as one row that is as right as it is confident.
    """
    counts, of = np.asarray(live, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    total = float(counts.sum())
    if total <= 0:
        return None
    share = counts / total
    middle = (np.arange(len(of)) + 0.5) / len(of)
    known = (np.asarray(right, dtype=np.float64) + middle) / (of + 1)
    value = float(share @ known)
    reach = _NORMAL * float(np.sqrt((share**2 * known * (1 - known) / (of + 1)).sum()))
    return Expected(value, max(0.0, value - reach), min(1.0, value + reach))
