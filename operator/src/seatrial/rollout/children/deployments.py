"""Deployments: one a revision, and how many pods each should have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api import status
from seatrial.rollout import facts, metadata, names, traffic
from seatrial.rollout.decision import Case
from seatrial.rollout.rules.guards import pods_asked_for

Object = dict[str, Any]


def replicas(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> dict[str, int]:
    """Pods per revision. What status no longer names goes to 0 once nothing sends its pods requests."""
    full = snapshot.spec.replicas
    counts = {
        name: 0 if traffic.drained(snapshot, after, name, now) else deployment.replicas
        for name, deployment in snapshot.deployments.items()
    }
    if after.previous is not None:
        counts[after.previous.revision] = full
    candidate = after.candidate
    if candidate is not None and (candidate.started_at is not None or candidate.step):
        case = Case(snapshot=msgspec.structs.replace(snapshot, status=after), now=now)
        asked, have = pods_asked_for(case, candidate), snapshot.deployments.get(candidate.revision)
        has_traffic = candidate.weight or not traffic.drained(snapshot, after, candidate.revision, now)
        in_use = have.replicas if have is not None and has_traffic else 0
        counts[candidate.revision] = max(asked, min(in_use, full))
    if after.stable is not None:
        counts[after.stable.revision] = full
    return counts


def of(snapshot: facts.Snapshot, revision: str, count: int) -> Iterator[Object]:
    """The revision's Deployment, with the pods of its record; where that is gone, with those that it has."""
    owner = snapshot.owner
    template = _template(snapshot, revision)
    if template is None:
        return
    selector = names.selector(owner.name, revision)
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata.of(owner, names.of_revision(owner.name, revision), revision),
        "spec": {
            "replicas": count,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector},
            "template": template,
        },
    }


def _template(snapshot: facts.Snapshot, revision: str) -> Mapping[str, Any] | None:
    """Somebody may delete a record while its pods serve: they are scaled and leave all the same."""
    if (record := snapshot.known.get(revision)) is not None:
        return record.pod_template
    existing = snapshot.child("Deployment", names.of_revision(snapshot.owner.name, revision))
    return existing["spec"]["template"] if existing is not None else None
