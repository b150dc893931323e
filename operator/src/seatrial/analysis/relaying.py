"""What stable's pods count about a candidate that they give requests to: the candidate's side of a slot under Relay.

Two pods know of a relayed request: the one of stable that passes it on, and the candidate's, if it gets there. How it
ended is taken from stable's pods alone, which know of those that were never answered; how long it took from the
candidate's own buckets. So a request counts once. What stable answers in the candidate's place is in neither of
stable's own counters: it is the candidate's failure, never stable's success.

Both sides of a slot come from the same snapshots of the same pods then, so nothing has to be waited for. Nor is
anything dropped as warming up: the candidate's pods are Ready, and cold caches are a matter of time, which they count
themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from seatrial.analysis import slots as slots_
from seatrial.analysis.samples import (
    COUNTED,
    COVERED,
    DIFFERENT,
    GIVEN,
    LATE,
    SAME,
    SHED,
    UNREACHABLE,
    Counter,
    Key,
    Relay,
)
from seatrial.analysis.tracks import Counts, Track

TOLD: tuple[slots_.Metric, ...] = ("errors", "rejections", "degraded")  # by stable's pods
OF_CANDIDATE: tuple[slots_.Metric, ...] = ("latency",)  # by its own
_RELAYED: tuple[Key, ...] = tuple(
    (Counter.RELAYED, label) for outcome in GIVEN for label in (outcome, f"{outcome}/{COVERED}")
)
ANSWERED_BADLY = ("error", "rejected")  # one that came late has left stable less time
_COPIES: tuple[Key, ...] = tuple((Counter.COPIES, outcome) for outcome in GIVEN)


def missing(track: Track, moment: float, relay: Relay) -> tuple[Key, ...]:
    """Counters about the candidate that a pod of stable had not shown by then, so that what it gave isn't known.

    They begin with its assignment. A pod that could relay and has none of them was not told to yet: it gave nothing.
    """
    if _known(track, relay)(moment):
        return ()
    return tuple(key for key in _needed(relay) if track.born.get(key, math.inf) > moment)


def _known(track: Track, relay: Relay) -> Callable[[float], bool]:
    """Whether it is known what the pod had given by a moment."""
    can = track.born.get((Counter.RELAYING, ""), math.inf)
    first = min(track.born.get(key, math.inf) for key in (*_RELAYED, *_COPIES))
    whole = max(track.born.get(key, math.inf) for key in _needed(relay))
    return lambda moment: whole <= moment or can <= moment < first


def _needed(relay: Relay) -> tuple[Key, ...]:
    return (*_RELAYED, *(_COPIES if relay.copies else ()))


def arm(
    stable: Sequence[Track], own: Sequence[slots_.ArmCounts], *, bounds: Sequence[float], relay: Relay
) -> list[slots_.ArmCounts]:
    """The candidate's side of each slot.

    Args:
        stable: pods that give.
        own: what the candidate's pods counted themselves, slot by slot.
    """
    sums = _sums(stable, bounds)
    known = [(track, _known(track, relay)) for track in stable]
    return [
        _slot(sums, k, mine, relay=relay, unseen=_unseen(known, bounds[k], bounds[k + 1])) for k, mine in enumerate(own)
    ]


def _sums(stable: Sequence[Track], bounds: Sequence[float]) -> dict[Key, Counts]:
    sums: dict[Key, Counts] = {}
    for track in stable:
        for key, counts in track.grown(bounds).items():
            if key[0].about_candidate:
                sums[key] = sums[key] + counts if key in sums else counts
    return sums


def _slot(
    sums: dict[Key, Counts], k: int, own: slots_.ArmCounts, *, relay: Relay, unseen: tuple[slots_.Metric, ...]
) -> slots_.ArmCounts:
    def count(counter: Counter, label: str) -> int:
        counts = sums.get((counter, label))
        return 0 if counts is None else int(counts[k])

    covered = {outcome: count(Counter.RELAYED, f"{outcome}/{COVERED}") for outcome in GIVEN}
    copies = {outcome: count(Counter.COPIES, outcome) for outcome in GIVEN}
    alone = {outcome: count(Counter.RELAYED, outcome) for outcome in GIVEN}
    ends = {outcome: alone[outcome] + covered[outcome] + copies[outcome] for outcome in GIVEN}
    both = {outcome: alone[outcome] if relay.paired else 0 for outcome in ANSWERED_BADLY}  # their client's own doing
    lost = ends[UNREACHABLE] + ends[LATE]
    return msgspec.structs.replace(
        own,
        requests=sum(ends[outcome] for outcome in COUNTED) + lost,
        errors=ends["error"] - both["error"] + lost,
        rejected=ends["rejected"] - both["rejected"],
        degraded=ends["degraded"],
        shed=ends[SHED],
        unreachable=ends[UNREACHABLE],
        late=ends[LATE],
        covered=sum(covered.values()),
        copies=sum(copies.values()),
        compared=copies["ok"] + copies["degraded"],
        same=count(Counter.ROWS, SAME),
        different=count(Counter.ROWS, DIFFERENT),
        timed=own.requests,
        unseen=(*unseen, *(metric for metric in own.unseen if metric in OF_CANDIDATE)),
    )


def _unseen(
    stable: Sequence[tuple[Track, Callable[[float], bool]]], since: float, until: float
) -> tuple[slots_.Metric, ...]:
    """What can't be told of a slot: pods that were read in it and count nothing of the candidate may have given it
    any number.
    """
    there = [known for track, known in stable if since < track.last(until)]
    return () if all(known(until) for known in there) else TOLD
