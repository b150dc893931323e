"""What may be deleted: stale trials, the disruption budget of a single pod, a route of another traffic provider,
revisions beyond their standing's room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.rollout import facts, names, standing, traffic
from seatrial.rollout.rules import trial as trials

from . import configmaps, records


class Deletion(facts.Fact, frozen=True, kw_only=True):
    """A child to delete, if it still is the one that was seen."""

    kind: str
    name: str
    uid: str


def of(snapshot: facts.Snapshot, after: status.Status) -> tuple[Deletion, ...]:
    keep = kept_revisions(snapshot, after)
    gone = (child for child in snapshot.observed if _stale(snapshot, after, keep, child))
    return tuple(
        Deletion(kind=child["kind"], name=child["metadata"]["name"], uid=child["metadata"]["uid"]) for child in gone
    )


def kept_revisions(snapshot: facts.Snapshot, after: status.Status) -> frozenset[str]:
    """Those in use, and of each standing as many as the history's limit says."""
    roles = (after.stable, after.previous, after.candidate)
    in_use = {one.revision for one in roles if one is not None} | {snapshot.wanted.revision}
    if after.set_back is not None:
        in_use |= {after.set_back.revision, after.set_back.instead_of}
    return standing.kept(
        {name: record.number for name, record in snapshot.records.items()},
        marks=records.marks(snapshot, after),
        in_use=frozenset(in_use),
        limit=snapshot.spec.revision_history_limit,
    )


def _stale(snapshot: facts.Snapshot, after: status.Status, keep: frozenset[str], child: Mapping[str, Any]) -> bool:
    of_revision = child["metadata"].get("labels", {}).get(names.REVISION, "")
    kept, empty = of_revision in keep, not snapshot.has_pods(of_revision)
    match child["kind"]:
        case "Job":
            return not kept or _trial_is_stale(snapshot, after, of_revision)
        case "PodDisruptionBudget":
            return snapshot.spec.replicas <= 1 or after.stable is None
        case "HTTPRoute":
            return _of_another_provider(snapshot, after, child)
        case "Deployment":
            return not kept and empty
        case "ConfigMap":
            return bool(of_revision) and ((not kept and empty) or configmaps.stale(snapshot, of_revision))
        case "ControllerRevision":
            return not kept and of_revision not in snapshot.deployments
    return False


def _of_another_provider(snapshot: facts.Snapshot, after: status.Status, child: Mapping[str, Any]) -> bool:
    named = {(one["kind"], one["metadata"]["name"]) for one in traffic.objects(snapshot, after)}
    return (child["kind"], child["metadata"]["name"]) not in named


def _trial_is_stale(snapshot: facts.Snapshot, after: status.Status, of_revision: str) -> bool:
    """A Job from before the present try of its revision, or one still running for nobody."""
    trial, candidate = snapshot.trials.get(of_revision), after.candidate
    if trial is None:
        return False
    if candidate is None or candidate.revision != of_revision:
        return trial.state is facts.JobState.RUNNING
    stage = stages.of(candidate)
    return isinstance(stage, stages.Trial) and trials.of_an_earlier_try(trial, stage)
