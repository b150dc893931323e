"""The children that status asks for. A function of facts: rendering again gives the same objects.

Order of life: pods Ready before weight; weight, verified at the endpoints, before pods leave. So a revision that status
no longer names keeps its pods until no endpoint points at them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api import API_VERSION, KIND, spec, status, values
from seatrial.api.values import whole_seconds

from . import artifacts, config, facts, looking, names, recording, revision, templates, traffic
from .decision import Case
from .guards import pods_asked_for

Object = dict[str, Any]


class Deletion(facts.Fact, frozen=True, kw_only=True):
    """A child to delete, if it still is the one that was seen."""

    kind: str
    name: str
    uid: str


def wanted(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> tuple[Object, ...]:
    """Objects to apply, in this order; what exists already as it should be may be skipped."""
    return tuple(_objects(snapshot, after, now))


def _objects(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> Iterator[Object]:
    owner, candidate = snapshot.owner, after.candidate
    wished = snapshot.wanted.revision
    if wished not in snapshot.records and wished in _in_use(after):
        yield _record(owner, snapshot.wanted)
    yield _service(owner, traffic.selector(owner.name, stable=after.stable, candidate=candidate))
    known = {**snapshot.records, snapshot.wanted.revision: snapshot.wanted}
    replicas = _replicas(snapshot, after, now)
    for name, count in replicas.items():
        record = known.get(name)
        if record is None:
            continue  # its record is gone, and so is the history's wish to keep it
        trial = snapshot.trials.get(name)
        if name not in snapshot.reports and trial is not None and trial.report is not None:
            yield _config_map(snapshot, record, trial)
        yield _deployment(owner, record, count)
    if candidate is not None and candidate.started_at is None and candidate.trial_started_at is not None:
        trial = snapshot.trials.get(candidate.revision)
        if trial is None and candidate.revision in known:
            yield _trial(snapshot, known[candidate.revision])
    if after.stable is not None and snapshot.spec.replicas > 1:
        yield _budget(owner, after.stable.revision)


def unwanted(snapshot: facts.Snapshot, after: status.Status) -> tuple[Deletion, ...]:
    """Children to delete: stale trials, the disruption budget of a single pod, revisions beyond the history's limit."""
    gone: list[Deletion] = []
    keep = _kept_revisions(snapshot, after)
    for child in snapshot.observed:
        kind, meta = child["kind"], child["metadata"]
        of = meta.get("labels", {}).get(names.REVISION, "")
        stale = {
            "Job": of not in keep or _trial_is_stale(snapshot, after, of),
            "PodDisruptionBudget": snapshot.spec.replicas <= 1 or after.stable is None,
            "Deployment": of not in keep and not snapshot.has_pods(of),
            "ConfigMap": of not in keep and not snapshot.has_pods(of),
            "ControllerRevision": (of not in keep and of not in snapshot.deployments) or _relocated(snapshot, of),
        }
        if stale.get(kind, False):
            gone.append(Deletion(kind=kind, name=meta["name"], uid=meta["uid"]))
    return tuple(gone)


def _replicas(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> Mapping[str, int]:
    """Pods per revision. What status no longer names goes to 0 once no endpoint holds its pods."""
    full = snapshot.spec.replicas
    counts: dict[str, int] = {}
    for name, deployment in snapshot.deployments.items():
        drained = snapshot.serving(name) == 0
        counts[name] = 0 if drained else deployment.replicas
    if after.previous is not None:
        counts[after.previous.revision] = full
    if after.candidate is not None and (after.candidate.started_at is not None or after.candidate.step):
        case = Case(snapshot=msgspec.structs.replace(snapshot, status=after), now=now)
        asked = pods_asked_for(case, after.candidate)
        have = snapshot.deployments.get(after.candidate.revision)
        has_traffic = after.candidate.weight or snapshot.serving(after.candidate.revision)
        in_use = have.replicas if have is not None and has_traffic else 0
        counts[after.candidate.revision] = max(asked, min(in_use, full))
    if after.stable is not None:
        counts[after.stable.revision] = full
    return counts


def _kept_revisions(snapshot: facts.Snapshot, after: status.Status) -> set[str]:
    in_use = _in_use(after) | {snapshot.wanted.revision}
    old = sorted(
        (record for name, record in snapshot.records.items() if name not in in_use), key=lambda one: -one.number
    )
    return in_use | {record.revision for record in old[: snapshot.spec.revision_history_limit]}


def _in_use(after: status.Status) -> set[str]:
    return {one.revision for one in (after.stable, after.previous, after.candidate) if one is not None}


def _trial_is_stale(snapshot: facts.Snapshot, after: status.Status, of: str) -> bool:
    """A Job from before the present try of its revision, or one still running for nobody."""
    trial, candidate = snapshot.trials.get(of), after.candidate
    if trial is None:
        return False
    if candidate is None or candidate.revision != of:
        return trial.state is facts.JobState.RUNNING
    started = candidate.trial_started_at
    return candidate.started_at is None and started is not None and trial.created_at < whole_seconds(started)


def _meta(owner: facts.Owner, name: str, of: str | None = None) -> Object:
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": names.labels(owner.name, of),
        "ownerReferences": [reference],
    }


def _record(owner: facts.Owner, record: revision.Record) -> Object:
    data = msgspec.to_builtins(record, enc_hook=values.encode_hook)
    number = data.pop("number")
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": _meta(owner, names.of_revision(owner.name, record.revision), record.revision),
        "revision": number,
        "data": data,
    }


def _service(owner: facts.Owner, selector: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(owner, owner.name),
        "spec": {
            "selector": dict(selector),
            "ports": [
                {"name": "http", "port": names.REST_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": names.GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"},
            ],
        },
    }


def _config_map(snapshot: facts.Snapshot, record: revision.Record, trial: facts.Trial) -> Object:
    """Immutable, and the record of the passed trial at the same time."""
    owner = snapshot.owner
    text = config.render(
        namespace=owner.namespace,
        name=owner.name,
        record=record,
        analysis=snapshot.spec.analysis,
        passed=trial.report,
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(owner, names.of_revision(owner.name, record.revision), record.revision),
        "immutable": True,
        "data": {"config.json": text, "report.json": trial.report_line},
    }


def _deployment(owner: facts.Owner, record: revision.Record, replicas: int) -> Object:
    selector = {names.DEPLOYMENT: owner.name, names.REVISION: record.revision, names.COMPONENT: names.SERVER}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(owner, names.of_revision(owner.name, record.revision), record.revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector},
            "template": record.pod_template,
        },
    }


def _trial(snapshot: facts.Snapshot, record: revision.Record) -> Object:
    owner, wish = snapshot.owner, snapshot.spec
    text = config.render(namespace=owner.namespace, name=owner.name, record=record, analysis=wish.analysis)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _meta(owner, names.of_trial(owner.name, record.revision), record.revision),
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": max(1, int(wish.trial.timeout.total_seconds())),
            "template": templates.trial(owner.name, record, config=text),
        },
    }


def _budget(owner: facts.Owner, stable: str) -> Object:
    selector = {names.DEPLOYMENT: owner.name, names.REVISION: stable, names.COMPONENT: names.SERVER}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(owner, owner.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }


def evidence(snapshot: facts.Snapshot, of: str, seen: looking.Look) -> Object:
    """What a verdict rests on, for `seatrial replay`. It belongs to its revision's record and goes with it.

    Without the label that the operator lists children by: nobody needs it in every pass.
    """
    name = names.of_revision(snapshot.owner.name, of)
    uid = next(
        one["metadata"]["uid"]
        for one in snapshot.observed
        if (one["kind"], one["metadata"]["name"]) == ("ControllerRevision", name)
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.of_evidence(snapshot.owner.name, of),
            "namespace": snapshot.owner.namespace,
            "labels": {names.MANAGED_BY: names.MANAGER, names.REVISION: of},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ControllerRevision", "name": name, "uid": uid}],
        },
        "binaryData": {recording.FILE: recording.render(seen, snapshot.spec)},
    }


def new_record(
    name: str,
    *,
    content: revision.Content,
    wish: spec.Spec,
    known: Mapping[str, revision.Record],
    deployed: Collection[str] = (),
) -> revision.Record:
    """The record of the wanted content: the one on file, else a new one with the next number.

    Until its pods exist it follows the spec's uri and secretRef, so that a trial that failed for a wrong address or
    wrong credentials can be tried again with the right ones. From then on it stays: no pod restarts for another address
    of the same bytes.
    """
    on_file, model = known.get(content.revision), wish.model
    if on_file is not None and (
        content.revision in deployed or (on_file.uri, on_file.secret) == (model.uri, model.secret)
    ):
        return on_file
    return revision.Record(
        content=content,
        uri=model.uri,
        secret=model.secret,
        pod_template=templates.server(name, content, artifact=artifacts.Artifact(model.uri, model.secret)),
        number=on_file.number if on_file else 1 + max((record.number for record in known.values()), default=0),
    )


def _relocated(snapshot: facts.Snapshot, of: str) -> bool:
    """The record on file has another address than the spec, and no pods. Its data is immutable: it is written anew."""
    return of == snapshot.wanted.revision and snapshot.records.get(of) not in (None, snapshot.wanted)
