"""How much noisier than coin flips the traffic is: phi for bursts, and the margin for pods that differ for long.

Measured for each kind of event, on both arms. A slot's values come from slots before it, so what is learned later never
rewrites evidence that was already counted.

phi tempers evidence (see `evidence`). It is the variance of the split of events, in units of what independent events
would show: given how many events an arm had in a block of time, they should fall on its pods as its requests do. Bursts
fall on few. (With one pod, or pods not told apart: on a few blocks that follow each other.) Squares and expected
squares are summed before dividing: an event that is alone then counts as what it is, a sign that events come one by
one. Arms are never compared with each other, so a candidate that is worse all the time is not noise, and what happens
to all pods at once is not either.

Little data must not look calm by luck: phi is the estimate drawn to `PRIOR`, plus `UNEARNED` events' worth of squares
that fade as events show that they come one by one. With none it is 4.5, after 15 lonely events about 1.25.

Where each request is assigned to its arm by itself, at random, a burst of the traffic is split like everything else,
and pods have the same clients: then calm needs no proof, and phi begins at `PRIOR`.

Bounds: at least `FLOOR`, at most `CAP`. The floor covers the error of the estimate, and it buys alpha: evidence
tempered by 1.1 reaches a bound b with probability at most b**-1.1 instead of 1/b, and what that saves pays for the
absolute guards and the soak (see `verdict`).

Pods that differ for long (a slower node) are a true ratio other than 1, which no tempering hides: they widen the
margin.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from seatrial.analysis.evidence import Floats
from seatrial.analysis.table import GROUP_BLOCKS, Record, Table, blocks

PRIOR = 1.3
PRIOR_WEIGHT = 1.0  # events
UNEARNED = 3.2
FLOOR = 1.1
CAP = 50.0
FEW_EVENTS = 21
FEW_EVENTS_OF_A_POD = 7
ONE_SIDED = 1.64  # normal quantile, 95 %
UNSURE = 1.2  # 1 + 1.2 / (pods - 1) is Student's 95 % quantile in units of the normal one, within 3 % from four pods on


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Over all groups so far: squares of what events differ from their share, and what chance would make of it."""

    squares: Floats
    expected: Floats


def phi(table: Table, given: float | None = None) -> Floats:
    """Dispersion in force in each slot, for each column: [T, C]."""
    if given is not None:
        return np.full(table.events_stable.shape, float(given))
    stable, candidate = _clumps(table.record), _clumps(table.trial)
    squares = _at_slots(table, _before(stable.squares + candidate.squares, 0.0))
    expected = _at_slots(table, _before(stable.expected + candidate.expected, 0.0))
    unearned = np.where(table.by_request, 0.0, UNEARNED)[:, None]
    estimate = (squares + PRIOR_WEIGHT * PRIOR + unearned) / (expected + PRIOR_WEIGHT)
    return np.clip(estimate, FLOOR, CAP)


def over_time(events: Floats, requests: Floats, *, seconds: Floats) -> Floats:
    """Dispersion in force in each slot of events that aren't told apart by pods, from what came before it: [T]."""
    parts = blocks(seconds.tolist())
    found = _clumps(Record(blocks=parts, requests=requests[:, None], events=events[:, None, None]))
    estimate = (found.squares + PRIOR_WEIGHT * PRIOR + UNEARNED) / (found.expected + PRIOR_WEIGHT)
    return np.clip(_before(estimate, PRIOR + UNEARNED / PRIOR_WEIGHT), FLOOR, CAP)[:, 0]


def margin(table: Table, tolerance: Floats, *, spread: float | None = None) -> Floats:
    """Ratio up to which the candidate counts as no worse, in each slot, for each column: [T, C].

    max(1 + tolerance, exp(1.64 s sqrt(1/candidate pods + 1/stable pods))), s the spread between stable pods.
    """
    s = np.full(table.events_stable.shape, float(spread)) if spread is not None else _spread(table)
    pods = np.sqrt(1 / table.pods_candidate + 1 / table.pods_stable)
    return np.maximum(1 + tolerance, np.exp(ONE_SIDED * s * pods[:, None]))


def _clumps(record: Record) -> _Sums:
    """After each slot. With K events and N requests in a group, over its cells: sum of (x - K n/N)^2 = sum(x^2) - 2 K/N
    sum(x n) + (K/N)^2 sum(n^2), of which chance makes K (1 - sum(n^2)/N^2).
    """
    blocks = record.blocks
    groups = _groups(record)
    n, x = _within(record.requests, blocks), _within(record.events, blocks)
    nn = _in_group((n**2).sum(axis=1), blocks, groups)[:, None]
    xn = _in_group((x * n[..., None]).sum(axis=1), blocks, groups)
    xx = _in_group((x**2).sum(axis=1), blocks, groups)
    requests = _within(record.requests.sum(axis=1), groups)[:, None]
    events = _within(record.events.sum(axis=1), groups)
    share = np.divide(events, requests, out=np.zeros_like(events), where=requests > 0)
    alike = np.divide(nn, requests**2, out=np.ones_like(nn), where=requests > 0)
    squares = np.maximum(0, xx - 2 * share * xn + share**2 * nn)
    return _Sums(_over(squares, groups), _over(events * (1 - alike), groups))


def _groups(record: Record) -> npt.NDArray[np.intp]:
    """Group of each slot: blocks by themselves once two pods have answered at the same time, a few together before."""
    blocks = record.blocks
    begins = np.diff(blocks, prepend=-1) > 0
    together = np.maximum.accumulate((record.requests > 0).sum(axis=1)) > 1
    told_apart = np.concatenate([[False], together[:-1]])
    return np.cumsum(begins & (told_apart | (blocks % GROUP_BLOCKS == 0))).astype(np.intp)


def _within(rows: Floats, parts: npt.NDArray[np.intp]) -> Floats:
    """Running sums that begin anew with each part."""
    sums = np.cumsum(rows, axis=0)
    return sums - _carried(sums - rows, parts)


def _in_group(rows: Floats, blocks: npt.NDArray[np.intp], groups: npt.NDArray[np.intp]) -> Floats:
    """Running values of blocks, added up over the blocks of a group so far."""
    fresh = np.diff(blocks, prepend=-1) > 0
    grown = rows - np.where(fresh.reshape(-1, *[1] * (rows.ndim - 1)), 0, _before(rows, 0.0))
    return _within(grown, groups)


def _over(rows: Floats, groups: npt.NDArray[np.intp]) -> Floats:
    """Running values of groups, added up over all groups so far."""
    last = np.diff(groups, append=groups[-1] + 1 if len(groups) else 0) > 0
    whole = rows * last[:, None]
    return np.cumsum(whole, axis=0) - whole + rows


def _carried(rows: Floats, parts: npt.NDArray[np.intp]) -> Floats:
    """Each part's first row, at each of its rows."""
    first = np.searchsorted(parts, parts, side="left")
    return rows[first]


def _spread(table: Table) -> Floats:
    """Standard deviation of pods' log event rates: [T, C]; 0 with too little.

    Counting noise is not subtracted: while events are few, pods seem to differ more than they do, never less.
    """
    record = table.record
    requests = _at_slots(table, _before(np.cumsum(record.requests, axis=0), 0.0))[..., None]
    events = _at_slots(table, _before(np.cumsum(record.events, axis=0), 0.0))
    usable = (events >= FEW_EVENTS_OF_A_POD) & (requests > 0)
    count = usable.sum(axis=1)
    rate = np.log(np.where(usable, events, 1) / np.where(usable, requests, 1))
    mean = np.where(usable, rate, 0).sum(axis=1) / np.maximum(count, 1)
    variance = np.where(usable, (rate - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count - 1, 1)
    known = (count >= 2) & (events.sum(axis=1) >= FEW_EVENTS)
    unsure = 1 + UNSURE / np.maximum(count - 1, 2)
    return np.where(known, np.sqrt(variance) * unsure, 0.0)


def _before(rows: Floats, first: float) -> Floats:
    """What was known before each row."""
    return np.concatenate([np.full_like(rows[:1], first), rows[:-1]])


def _at_slots(table: Table, rows: Floats) -> Floats:
    """Rows of the slots alone, without the history before them."""
    return rows[len(rows) - len(table.seconds) :]
