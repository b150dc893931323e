"""From raw samples to slots: exact increments, nothing interpolated, nothing estimated.

`scrapes` makes whole snapshots of each pod out of series, `tracks` increments out of snapshots, `sight` says how well
the pods are seen. Here they become slots in which both arms stand side by side.

A slot is as long as asked, or as the scrapes are apart if that is longer: else pods that are scraped at different
moments would never answer in the same slot. Where a slot ends depends on what was seen up to its end, so later samples,
and pods that vanish, never change the slots that are complete.

Pods are scraped at different instants. Were each taken as it comes, an outage shared by all could be seen on the
candidate seconds before it is seen on stable, and a look in between would blame the candidate. So the candidate is read
only up to the oldest of the stable pods' latest snapshots: never judged on time in which stable has not been seen.

Where stable's pods give the candidate its requests, they tell what became of them (see `relaying`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial.analysis import relaying, scrapes, sight, tracks
from seatrial.analysis import slots as slots_
from seatrial.analysis.samples import COUNTED, Arm, Counter, Pod, Relay, Series
from seatrial.analysis.scrapes import STALE_SCRAPES

__all__ = ["COUNTED", "STALE_SCRAPES", "Arm", "Counter", "Pod", "Reading", "Relay", "Series", "read"]

ROUNDING = 0.1  # of a slot: scrapes that are late by less don't need a longer one


class Reading(msgspec.Struct, frozen=True):
    """Complete slots, and why they may not be judged now.

    Attributes:
        blind: empty when the arms are seen well enough.
        unseen: by metric that can't be judged, what is missing and what to change.
        ignored: what was left out because it is no count, in words.
        scrape_interval: seconds, as measured where there was something to measure.
        ends: unix time of each slot's end.
        seen: up to where the candidate was read at each slot's end, to go on from there.
    """

    slots: tuple[slots_.Slot, ...]
    blind: str = ""
    unseen: Mapping[str, str] = {}
    ignored: tuple[str, ...] = ()
    scrape_interval: float = 0.0
    ends: tuple[float, ...] = ()
    seen: tuple[float, ...] = ()


def read(
    series: Iterable[Series],
    pods: Sequence[Pod],
    *,
    start: float,
    end: float,
    interval: float,
    scrape_interval: float,
    arms: Sequence[Arm] = (Arm.STABLE, Arm.CANDIDATE),
    seen_from: float = -math.inf,
    relay: Relay | None = None,
) -> Reading:
    """Slots of at least `interval` seconds between two unix times; a last one that is incomplete is left out.

    Give samples from about `STALE_SCRAPES` scrapes before `start` on: the first slot needs something to count from.

    Args:
        pods: of both arms; they decide about freshness only.
        scrape_interval: as set; counts until there is something to measure.
        arms: which must be seen (after promotion only one is left).
        seen_from: up to where the candidate was read by `start`, where slots before it were read already.
        relay: how stable's pods give requests to the candidate, where they do.
    """
    found, ignored = scrapes.of_pods(series, end=end, scrape_interval=scrape_interval)
    own = [tracks.of(arm, pod, one) for (arm, pod), one in found.items()]
    bounds = _bounds(own, start=start, end=end, interval=interval, hint=scrape_interval)
    stable = [track for track in own if track.arm is Arm.STABLE]
    candidate = [track for track in own if track.arm is Arm.CANDIDATE]
    outcomes = [_outcomes(own, bound) for bound in bounds]
    seen = _seen(stable, bounds, hint=scrape_interval, since=seen_from) if Arm.STABLE in arms else bounds
    others = _arm(candidate, seen, outcomes)
    if relay is not None:
        others = relaying.arm(stable, others, bounds=bounds, relay=relay)
    slots = tuple(
        slots_.Slot(
            seconds=until - since, stable=one, candidate=other, by_request=relay is not None and relay.by_request
        )
        for since, until, one, other in zip(
            bounds[:-1], bounds[1:], _arm(stable, bounds, outcomes), others, strict=True
        )
    )
    measured = any(track.scrapes.gap(end) is not None for track in own)
    gap = sight.scrape_interval(own, end, scrape_interval)
    view = sight.View(own, pods, end=end, interval=gap, measured=measured)
    return Reading(
        slots=slots,
        blind=sight.blind(view, arms if relay is None else (Arm.STABLE,)),
        unseen=sight.unseen(view, arms, outcomes=_outcomes(own, end), relay=relay),
        ignored=ignored,
        scrape_interval=gap,
        ends=tuple(bounds[1:]),
        seen=tuple(seen[1:]),
    )


def _bounds(own: Sequence[tracks.Track], *, start: float, end: float, interval: float, hint: float) -> list[float]:
    """Where slots begin and end."""
    bounds, last = [start], 0
    for place in range(1, math.floor((end - start) / interval + 1e-9) + 1):
        bound = start + interval * place
        gap = sight.scrape_interval(own, bound, hint) if own else interval
        if place - last >= max(1, math.ceil(gap / interval - ROUNDING)):
            bounds.append(bound)
            last = place
    return bounds


def _outcomes(own: Sequence[tracks.Track], moment: float) -> frozenset[str]:
    """Outcomes that some pod had shown by then."""
    return frozenset(
        label
        for track in own
        for (counter, label), born in track.born.items()
        if counter is Counter.REQUESTS and born <= moment
    )


def _seen(stable: Sequence[tracks.Track], bounds: Sequence[float], *, hint: float, since: float) -> list[float]:
    """Up to where the candidate is read at each bound: the oldest latest snapshot of the stable pods that are fresh."""
    seen: list[float] = []
    for bound in bounds:
        stale = STALE_SCRAPES * sight.scrape_interval(stable, bound, hint)
        latest = [track.last(bound) for track in stable]
        fresh = [moment for moment in latest if moment >= bound - stale]
        upto = min(fresh) if fresh else (-math.inf if stable else bound)
        first = since if math.isfinite(since) else (upto if math.isfinite(upto) else bound)
        seen.append(max(upto, seen[-1]) if seen else first)
    return seen


def _arm(
    own: Sequence[tracks.Track], bounds: Sequence[float], outcomes: Sequence[frozenset[str]]
) -> list[slots_.ArmCounts]:
    """Slot by slot; pods without an answer in the slot say nothing and are left out."""
    counts = [track.between(bounds) for track in own]
    arms = []
    for k in range(len(bounds) - 1):
        there = [track for track in own if bounds[k] < track.last(bounds[k + 1])]
        missing = {metric for track in there for metric in track.missing(bounds[k + 1], outcomes[k + 1])}
        arms.append(
            slots_.total(
                tuple(mine[k] for mine in counts if mine[k].asked),
                unseen=tuple(metric for metric in sight.METRICS if metric in missing),
            )
        )
    return arms
