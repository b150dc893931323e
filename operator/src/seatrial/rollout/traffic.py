"""Who gets requests: the Service's selector for a weight, the pods a weight needs, and whether it is in force.

Provider `Service`: the share follows the number of ready pods, so exposure is coarse; what was really served is
measured from request counters.
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.api import status

from . import facts, names

NOBODY = "none"  # has a vowel, so no revision is called that


def pods_needed(weight: int, replicas: int) -> int:
    """Candidate pods beside `replicas` stable ones for a share of `weight` percent; all replicas at 100."""
    if weight >= 100:
        return replicas
    return min(replicas, max(1, round(weight * replicas / (100 - weight))))


def selector(name: str, *, stable: status.Stable | None, candidate: status.Candidate | None) -> Mapping[str, str]:
    """Pod labels the Service selects: one revision, or all of this deployment's while the traffic is shared.

    A first version that was rejected leaves nobody to send requests to.
    """
    everyone = {names.DEPLOYMENT: name, names.COMPONENT: names.SERVER}
    if stable is None:
        return {**everyone, names.REVISION: candidate.revision if candidate else NOBODY}
    if candidate is None or candidate.weight == 0:
        return {**everyone, names.REVISION: stable.revision}
    if candidate.weight == 100:
        return {**everyone, names.REVISION: candidate.revision}
    return everyone


def in_force(snapshot: facts.Snapshot, asked: Mapping[str, str]) -> bool:
    """The Service has this selector and its endpoints hold nobody else's pods."""
    if snapshot.endpoints is None or dict(snapshot.endpoints.selector) != dict(asked):
        return False
    pinned = asked.get(names.REVISION)
    others = sum(count for revision, count in snapshot.endpoints.ready.items() if revision != pinned)
    return pinned is None or (others == 0 and snapshot.endpoints.ready.get(pinned, 0) > 0)
