"""How much noisier than coin flips the traffic is: phi for bursts, and the margin for pods that differ for long.

Measured on stable's own record, for each kind of event. A slot's values come from blocks that were complete before the
slot's own block began, so what is learned later never rewrites evidence that was already counted.

phi tempers evidence (see `evidence`). It is the variance of the split of events, in units of what independent events
would show:
- between stable pods (A/A), each pod against all of them, block by block;
- with one stable pod (or pods not told apart), over time: each block against the one before, so slow drift cancels;
- below 30 events: `DEFAULT`; above, the default fades as comparisons grow in number.
Squares and expected squares are summed over blocks before dividing (a mean of per-block quotients would be drowned by
blocks with a single event, whose quotient is 1 whatever the bursts).

Bounds: at least `FLOOR`, at most `CAP`. The floor covers the error of the estimate, and it buys alpha: evidence
tempered by 1.1 reaches a bound b with probability at most b**-1.1 instead of 1/b, and what that saves pays for the
absolute guards and the soak (see `verdict`).

Pods that differ for long (a slower node) are a true ratio other than 1, which no tempering hides: they widen the
margin.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from seatrial.analysis.evidence import Floats
from seatrial.analysis.table import Table

# Simulated without history, errors in bursts of five: 2 rolls back 6 % of healthy candidates, 3 1.3 %, 4 about 1 %.
# The price: a candidate that fails every request is found after a dozen failures instead of four or five.
DEFAULT = 4.0
DEFAULT_WEIGHT = 5.0  # comparisons: a few blocks can look calm by luck; without it, bursts of five roll back 4 %
FLOOR = 1.1
CAP = 50.0
FEW_EVENTS = 30
FEW_EVENTS_OF_A_POD = 10
ONE_SIDED = 1.64  # normal quantile, 95 %
UNSURE = 1.2  # 1 + 1.2 / (pods - 1) is Student's 95 % quantile in units of the normal one, within 3 % from four pods on


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Over all blocks before each block; `freedom` counts independent comparisons."""

    squares: Floats
    expected: Floats
    events: Floats
    freedom: Floats


def phi(table: Table, given: float | None = None) -> Floats:
    """Dispersion in force in each slot, for each column: [T, C]."""
    if given is not None:
        return np.full(table.events_stable.shape, float(given))
    between = _between_pods(table)
    over_time = _over_time(table)
    measured = np.where(between.events >= FEW_EVENTS, _estimate(between), _estimate(over_time))
    events = np.maximum(between.events, over_time.events)
    by_block = np.where(events >= FEW_EVENTS, np.clip(measured, FLOOR, CAP), DEFAULT)
    return by_block[table.slot_blocks]


def margin(table: Table, tolerance: Floats, *, dispersion: Floats, spread: float | None = None) -> Floats:
    """Ratio up to which the candidate counts as no worse, in each slot, for each column: [T, C].

    max(1 + tolerance, exp(1.64 s sqrt(1/candidate pods + 1/stable pods))), s the spread between stable pods.
    """
    s = np.full(dispersion.shape, float(spread)) if spread is not None else _spread(table, dispersion)
    pods = np.sqrt(1 / table.pods_candidate + 1 / table.pods_stable)
    return np.maximum(1 + tolerance, np.exp(ONE_SIDED * s * pods[:, None]))


def _between_pods(table: Table) -> _Sums:
    """Each pod against all, over blocks in which at least two pods answered."""
    requests, events = _sum_blocks(table, table.pod_requests), _sum_blocks(table, table.pod_events)
    total = requests.sum(axis=1)
    share = np.divide(requests, total[:, None], out=np.zeros_like(requests), where=total[:, None] > 0)
    answering = (requests > 0).sum(axis=1)[:, None]
    comparable = answering >= 2
    seen = events.sum(axis=1) * comparable
    squares = ((events - seen[:, None] * share[..., None]) ** 2).sum(axis=1) * comparable
    expected = seen * (share * (1 - share)).sum(axis=1)[:, None]
    freedom = (answering - 1) * comparable * (seen > 0)
    return _Sums(_before(squares), _before(expected), _before(seen), _before(freedom))


def _over_time(table: Table) -> _Sums:
    """Each block of the whole arm against the block before it."""
    requests, events = _sum_blocks(table, table.arm_requests), _sum_blocks(table, table.arm_events)
    pair = requests[1:] + requests[:-1]
    share = np.divide(requests[1:], pair, out=np.zeros_like(pair), where=pair > 0)[:, None]
    both = events[1:] + events[:-1]
    first = np.zeros_like(events[:1])
    squares = np.concatenate([first, (events[1:] - both * share) ** 2])
    expected = np.concatenate([first, both * share * (1 - share)])
    freedom = np.concatenate([first, both > 0])
    return _Sums(_before(squares), _before(expected), _before(events), _before(freedom))


def _spread(table: Table, dispersion: Floats) -> Floats:
    """Standard deviation of pods' log event rates beyond counting noise (phi / events): [T, C]; 0 with too little."""
    requests = _before(_sum_blocks(table, table.pod_requests))[..., None]
    events = _before(_sum_blocks(table, table.pod_events))
    usable = (events >= FEW_EVENTS_OF_A_POD) & (requests > 0)
    count = usable.sum(axis=1)
    rate = np.log(np.where(usable, events, 1) / np.where(usable, requests, 1))
    mean = np.where(usable, rate, 0).sum(axis=1) / np.maximum(count, 1)
    variance = np.where(usable, (rate - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count - 1, 1)
    noise = np.where(usable, 1 / np.where(usable, events, 1), 0).sum(axis=1) / np.maximum(count, 1)
    known = (count >= 2) & (events.sum(axis=1) >= FEW_EVENTS)
    at = table.slot_blocks
    beyond = variance[at] - dispersion * noise[at]
    unsure = 1 + UNSURE / np.maximum(count[at] - 1, 2)
    return np.where(known[at], np.sqrt(np.maximum(beyond, 0)) * unsure, 0.0)


def _sum_blocks(table: Table, rows: Floats) -> Floats:
    """Rows of slots summed to rows of blocks."""
    count = int(table.blocks[-1]) + 1 if len(table.blocks) else 0
    sums = np.zeros((count, *rows.shape[1:]))
    np.add.at(sums, table.blocks, rows)
    return sums


def _before(rows: Floats) -> Floats:
    """Running sums that exclude the row itself."""
    return np.cumsum(rows, axis=0) - rows


def _estimate(sums: _Sums) -> Floats:
    """Squares / expected squares, drawn to the default by as much as that says little."""
    quotient = np.divide(sums.squares, sums.expected, out=np.ones_like(sums.squares), where=sums.expected > 0)
    return (sums.freedom * quotient + DEFAULT_WEIGHT * DEFAULT) / (sums.freedom + DEFAULT_WEIGHT)
