"""The children that status asks for, by urgency: traffic, then stable, then the candidate; and which may go.

A function of facts: rendering again gives the same objects. Order of life: pods Ready before weight; weight, verified
at the endpoints, before pods leave. So a revision that status no longer names keeps its pods until nothing sends it
requests. One module a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from seatrial.api import status
from seatrial.rollout import facts, traffic

from . import budgets, configmaps, deployments, evidence, jobs, monitoring, records, unwanted

Object = dict[str, Any]

__all__ = ["evidence", "new_record", "unwanted", "wanted"]

new_record = records.new


def wanted(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> tuple[Object, ...]:
    """Objects to apply, in this order; what exists already as it should be may be skipped."""
    return tuple(_objects(snapshot, after, now))


def _objects(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> Iterator[Object]:
    yield from traffic.objects(snapshot, after)
    replicas = deployments.replicas(snapshot, after, now)
    for revision in _by_urgency(replicas, after):
        yield from records.noted(snapshot, after, revision)
        yield from configmaps.needed(snapshot, revision)
        yield from deployments.of(snapshot, revision, replicas[revision])
    yield from monitoring.of(snapshot)
    yield from budgets.of(snapshot, after)
    yield from records.others(snapshot, after, set(replicas))
    yield from jobs.trial(snapshot, after)


def _by_urgency(replicas: dict[str, int], after: status.Status) -> list[str]:
    roles = (after.stable, after.previous, after.candidate)
    first = [one.revision for one in roles if one is not None and one.revision in replicas]
    return [*first, *(name for name in replicas if name not in first)]
