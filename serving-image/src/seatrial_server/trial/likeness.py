"""Are rows distributed as the reference is? Evidence per feature, from the bins that drift is counted in. Pure.

An e-value under "no set of bins has more than `distance` beyond its share in the reference", so an evidence of 1000
comes by chance in at most one of a thousand cases (Markov), for any number of rows: few rows can't reach it, many don't
by themselves. The distance is wider where the reference has few rows: see docs/explanation/drift.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seatrial_server.model import bins, session
from seatrial_server.observe import drift

BOUND = 1000.0
_UNSURE = 2.5
_EXCESSES = np.array([1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0])
_HIGHEST = 0.95
_CHUNK = 4096


def unlike(
    profile: bins.Profile,
    dtypes: Sequence[np.dtype[np.generic]],
    inputs: Sequence[session.Array],
    *,
    distance: float,
) -> list[tuple[str, float]]:
    """The features with evidence of more than the distance, and how far each lies from the reference."""
    counts = drift.Counts(profile.features, dtypes)
    for start in range(0, len(inputs[0]), _CHUNK):
        counts.add({place: array[start : start + _CHUNK] for place, array in enumerate(inputs)})
    found = []
    for one, shares, counted in zip(profile.features, profile.feature_shares, counts.parts(), strict=True):
        reference = np.array(shares)
        order = np.arange(len(reference)) if one.edges else np.argsort(-reference, kind="stable")
        margin = max(distance, _UNSURE * _chance(reference, profile.feature_rows))
        if _log_evidence(counted[order].astype(np.float64), reference[order], margin) >= math.log(BOUND):
            far = float(np.abs(counted / max(1, counted.sum()) - reference).sum() / 2)
            found.append((one.name, far))
    return sorted(found, key=lambda pair: -pair[1])


def _chance(reference: session.Array, rows: int) -> float:
    """Total variation that so many rows have from their source by chance, on average."""
    return float(0.5 * np.sqrt(2 / np.pi) * np.sqrt(reference * (1 - reference) / max(1, rows)).sum())


def _log_evidence(counts: session.Array, reference: session.Array, margin: float) -> float:
    size = len(reference)
    single = np.eye(size)
    heads = np.tril(np.ones((size, size)))[:-1]
    sets = np.unique(np.concatenate([single, 1 - single, heads, 1 - heads]), axis=0)
    most = sets @ reference + margin
    limit, share = most[:, None], np.minimum(_HIGHEST, most[:, None] * _EXCESSES)
    place, number = np.nonzero((share > limit) & (limit < _HIGHEST))
    if not len(place):
        return -math.inf
    limits, shares = most[place], share[place, number]
    inside = sets[place] @ counts
    logs = inside * np.log(shares / limits) + (counts.sum() - inside) * np.log((1 - shares) / (1 - limits))
    top = logs.max()
    return float(top + np.log(np.exp(logs - top).mean()))
