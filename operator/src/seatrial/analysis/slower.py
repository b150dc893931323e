"""Latency as users mean it: how much later, not only how many more.

A candidate that takes a little longer throughout has many more requests above an edge that lies within the bulk of
them. So the tolerance is granted in time too: what the candidate has above an edge is compared with what stable has
above an earlier moment, `edge / (1 + 0.8 tolerance)`: a version 20 % slower throughout is within a tolerance of 25 %.
(Were it the whole 25 %, to tell 30 % from it would take five minutes at ten requests a second with the best of tests.)

Histograms know edges only. Between two of them times are taken as log-normal: the normal score of the share of slower
requests falls evenly with the logarithm of time. Edges below the floor are never compared; they only help to
interpolate.
"""

from __future__ import annotations

import numpy as np

from seatrial.analysis import table
from seatrial.analysis.evidence import Floats

FEW_EVENTS = 10
TIME_PART = 0.8  # of the tolerance


def margin(rows: table.Table, tolerance: float) -> Floats:
    """What stable has at the earlier moment, as a multiple of what it has at the edge, up to each slot: [T, edges].

    The slot itself is included, so that the first one isn't judged without: when stable happens to have fewer above the
    edge than usual, more is granted, not less.
    """
    edges = np.log([float(edge) for edge in rows.edges])
    slots = len(rows.seconds)
    if len(edges) < 2:
        return np.ones((slots, len(edges)))
    requests = _so_far(rows.record.requests.sum(axis=1), slots)[:, None]
    events = _so_far(rows.record.events[..., table.FIRST_EDGE :].sum(axis=1), slots)
    scores = _score((events + 0.5) / (requests + 1))
    earlier = edges[1:] - np.log1p(TIME_PART * tolerance)
    place = np.clip(np.searchsorted(edges, earlier, side="right") - 1, 0, None)
    part = np.clip((earlier - edges[place]) / (edges[place + 1] - edges[place]), 0, 1)
    between = scores[:, place] * (1 - part) + scores[:, place + 1] * part
    ratio = np.maximum(1.0, _share(between) / _share(scores[:, 1:]))
    ratio[events[:, place] < FEW_EVENTS] = 1.0
    return np.hstack([np.ones((slots, 1)), ratio])


def _score(share: Floats) -> Floats:
    """Normal score of a share of slower requests, by 4 p (1 - p) ~ exp(-2 z^2 / pi)."""
    near = np.clip(4 * share * (1 - share), 1e-300, 1)
    score: Floats = np.sign(0.5 - share) * np.sqrt(-np.pi / 2 * np.log(near))
    return score


def _share(score: Floats) -> Floats:
    """The inverse."""
    share: Floats = (1 - np.sign(score) * np.sqrt(1 - np.exp(-2 / np.pi * score**2))) / 2
    return np.maximum(share, 1e-12)


def _so_far(rows: Floats, slots: int) -> Floats:
    """Sums over all rows up to each slot."""
    sums: Floats = np.cumsum(rows, axis=0)
    return sums[len(sums) - slots :]
