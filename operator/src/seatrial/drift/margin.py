"""How far a share may be from the reference's before it counts as moved."""

from __future__ import annotations

import numpy as np

from seatrial.drift.columns import Array, Floats

UNSURE = 2.5
FEW_EXPECTED = 4.0


def chance(shares: Floats, rows: Array) -> Floats:
    """Total variation that so many independent rows have from their source by chance, on average.

    Half the sum of the mean absolute deviations of the bins' shares, each sqrt(2/pi) of its standard deviation.
    """
    return np.asarray(0.5 * np.sqrt(2 / np.pi) * np.sqrt(shares * (1 - shares) / rows).sum(axis=-1))


def shape(tolerance: float, rows: int, reference: Floats) -> float:
    """Total variation that is tolerated: of a reference of few rows, as much as it may differ from its own source."""
    return max(tolerance, UNSURE * float(chance(reference, np.asarray(float(rows)))))


def slack(invalid: float, rows: int) -> float:
    """What is tolerated of values that are rare: so much more than the reference has, or as much again.

    Of m reference rows a share of 4/m may have shown nothing at all.
    """
    return max(invalid, FEW_EXPECTED / rows)


def rare(reference: float, slack: float) -> float:
    """The share up to which missing or unknown values count as no more than before."""
    return reference + max(reference, slack)
