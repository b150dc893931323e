"""Do two versions that serve the same traffic answer alike? Shares of answers slot by slot, whatever the traffic.

Evidence that the share of some set of bins is larger in one arm than in the other by more than a margin. In each slot
with n and m rows, w = n m / (n + m): by Hoeffding's lemma exp(w (x d - x^2 / 8)) has a mean of at most 1 while the true
difference is within the margin (d: the observed one beyond it), whatever the shares are. So their product over slots is
an e-value, and so is the mean over sets and x.
"""

from __future__ import annotations

import numpy as np

from seatrial.analysis.evidence import log_mean_exp
from seatrial.drift.columns import Floats

RATES: Floats = np.array([0.25, 0.5, 1.0, 2.0, 4.0])


def log_evidence(
    candidate: Floats, stable: Floats, *, chosen: Floats, margin: float, dispersion: float
) -> tuple[float, int]:
    """The natural logarithm of the evidence, and the set that says most: counts [slots, bins], sets [sets, bins]."""
    rows, others = candidate.sum(axis=1), stable.sum(axis=1)
    both = (rows > 0) & (others > 0)
    if not both.any():
        return 0.0, 0
    rows, others = rows[both], others[both]
    weight = (rows * others / (rows + others) / dispersion)[:, None]
    apart = candidate[both] @ chosen.T / rows[:, None] - stable[both] @ chosen.T / others[:, None] - margin
    terms = RATES[None] * (weight * apart).sum(axis=0)[:, None] - weight.sum() * RATES[None] ** 2 / 8
    return float(log_mean_exp(terms.ravel(), axis=0)), int(np.argmax(terms.max(axis=1)))
