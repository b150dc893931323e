"""Long windows in little room: slots that ended long ago, added up to longer ones.

By time alone, counted from the window's start, so that folding at every look and folding once after a restart give the
same. Evidence hardly changes: events still split by their odds, which are taken over minutes instead of seconds, and
only slots of half an hour ago and more are concerned, at whose evidence many looks have been had already.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from seatrial.analysis import slots as slots_
from seatrial.analysis.sight import METRICS

HOUR = 3600.0
FINE = HOUR / 2
LEVELS = ((12 * HOUR, HOUR), (FINE, 300.0))  # what ended so long ago is kept in stretches of such a length


def older(slots: Sequence[slots_.Slot]) -> tuple[slots_.Slot, ...]:
    """The same counts in fewer slots; the last half hour is kept as it is."""
    ends = list(itertools.accumulate(slot.seconds for slot in slots))
    if not ends or ends[-1] <= FINE:
        return tuple(slots)
    stretches: dict[tuple[float, float], list[slots_.Slot]] = {}
    for slot, end in zip(slots, ends, strict=True):
        stretches.setdefault(_stretch(end - slot.seconds, ends[-1]), []).append(slot)
    return tuple(_one(own) for own in stretches.values())


def _stretch(begin: float, now: float) -> tuple[float, float]:
    """(length, number) of the stretch that a slot belongs to, each slot to one of its own when it is young."""
    moment = begin + 1e-6
    for age, length in LEVELS:
        number = moment // length
        if (number + 1) * length <= now - age:
            return length, number
    return 0.0, begin


def _one(slots: Sequence[slots_.Slot]) -> slots_.Slot:
    if len(slots) == 1:
        return slots[0]
    return slots_.Slot(
        seconds=sum(slot.seconds for slot in slots),
        stable=_arm([slot.stable for slot in slots]),
        candidate=_arm([slot.candidate for slot in slots]),
        by_request=all(slot.by_request for slot in slots),
    )


def _arm(arms: Sequence[slots_.ArmCounts]) -> slots_.ArmCounts:
    pods: dict[str, list[slots_.PodCounts]] = {}
    for arm in arms:
        for place, pod in enumerate(arm.pods):
            pods.setdefault(pod.name or f"#{place}", []).append(pod)
    missing = {metric for arm in arms for metric in arm.unseen}
    return slots_.ArmCounts(
        requests=sum(arm.requests for arm in arms),
        errors=sum(arm.errors for arm in arms),
        rejected=sum(arm.rejected for arm in arms),
        degraded=sum(arm.degraded for arm in arms),
        shed=slots_.shed(arms),
        slower=_slower(arms),
        pods=tuple(_pod(own) for own in pods.values()),
        unseen=tuple(metric for metric in METRICS if metric in missing),
        unreachable=sum(arm.unreachable for arm in arms),
        late=sum(arm.late for arm in arms),
        covered=sum(arm.covered for arm in arms),
        copies=sum(arm.copies for arm in arms),
        compared=sum(arm.compared for arm in arms),
        same=sum(arm.same for arm in arms),
        different=sum(arm.different for arm in arms),
        timed=sum(arm.measured for arm in arms) if any(arm.timed is not None for arm in arms) else None,
    )


def _pod(counts: Sequence[slots_.PodCounts]) -> slots_.PodCounts:
    return slots_.PodCounts(
        requests=sum(pod.requests for pod in counts),
        errors=sum(pod.errors for pod in counts),
        rejected=sum(pod.rejected for pod in counts),
        degraded=sum(pod.degraded for pod in counts),
        shed=slots_.shed(counts),
        slower=_slower(counts),
        name=counts[0].name,
    )


def _slower(counts: Iterable[slots_.ArmCounts | slots_.PodCounts]) -> dict[str, int]:
    """Edges that were known whenever somebody answered."""
    busy = [one.slower for one in counts if one.requests]
    shared = set.intersection(*map(set, busy)) if busy else set()
    return {edge: sum(own[edge] for own in busy) for edge in sorted(shared, key=float)}
