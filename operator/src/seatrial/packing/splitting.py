"""Which rows go where: holdout (by class, in its share), reference and calibration. The same seed takes the same rows.

Holdout rows are never reference or calibration rows, so that accuracy isn't measured on what drift and int8 are set by.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

Array = np.ndarray[Any, Any]
HOLDOUT = 5000
REFERENCE = 5000
CALIBRATION = 1000
_HELD_OUT_SHARE = 0.25


class Split(msgspec.Struct, frozen=True):
    """Numbers of rows, ascending."""

    holdout: Array
    reference: Array
    calibration: Array


def split(rows: int, *, strata: Array | None, seed: int, held_out: bool) -> Split:
    """Divide the rows; `held_out`: holdout rows are given elsewhere, so none are taken here."""
    random = np.random.default_rng(seed)
    count = 0 if held_out else min(HOLDOUT, int(rows * _HELD_OUT_SHARE))
    holdout = _stratified(rows, count, strata=strata, random=random)
    rest = np.setdiff1d(np.arange(rows), holdout)
    return Split(
        holdout=holdout,
        reference=np.sort(random.permutation(rest)[:REFERENCE]),
        calibration=np.sort(random.permutation(rest)[:CALIBRATION]),
    )


def chosen(rows: int, *, strata: Array | None, seed: int) -> Array:
    """Holdout rows of data that is for nothing else."""
    return _stratified(rows, min(rows, HOLDOUT), strata=strata, random=np.random.default_rng(seed))


def _stratified(rows: int, count: int, *, strata: Array | None, random: np.random.Generator) -> Array:
    """So many rows, from each class its share, rounded to the nearest."""
    order = random.permutation(rows)
    if strata is None or not count:
        return np.sort(order[:count])
    chosen = []
    for one in np.unique(strata):
        members = order[strata[order] == one]
        chosen.append(members[: round(count * len(members) / rows)])
    return np.sort(np.concatenate(chosen))
