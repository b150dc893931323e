"""The Job of a run, from the jobTemplate of the user's CronJob: theirs is what runs, ours is when, and what it is told.

The first container gets the run's facts in its environment and gives the result. What would keep the Job for ever or
run it for longer than spec.retraining.timeout is set; everything else is as in the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.api import spec, trained
from seatrial.api.trained import RunOutcome
from seatrial.rollout import facts, metadata, names

from . import overlay

Object = dict[str, Any]

TTL_SECONDS = 7 * 24 * 3600


def needed(snapshot: facts.Snapshot, after: trained.Retraining | None) -> Object | None:
    """The Job of the run whose intent is in status, while nobody has seen it."""
    wish, training = snapshot.spec.retraining, snapshot.training
    run = after.runs[0] if after is not None and after.runs else None
    if wish is None or run is None or run.outcome is not RunOutcome.RUNNING or run.job:
        return None
    template = training.template
    if training.job(run.number) is not None or template is None or template.trouble:
        return None
    return _job(snapshot, wish, run, template.job)


def _job(snapshot: facts.Snapshot, wish: spec.Retraining, run: trained.Run, template: Mapping[str, Any]) -> Object:
    owner, own = snapshot.owner, template["spec"]
    kept = {key: value for key, value in own.items() if key not in ("selector", "manualSelector")}
    timeout = max(1, int(wish.timeout.total_seconds()))
    pod = own["template"]
    containers = pod["spec"]["containers"]
    meta = metadata.of(owner, names.of_run(owner.name, run.number))
    labels = {**meta["labels"], names.TRAINING: str(run.number)}
    notes = {
        names.BASE: run.base,
        names.TRIGGER: run.trigger.value,
        names.CONTAINER: containers[0]["name"],
    }
    told = [_told(containers[0], _environment(snapshot, run)), *containers[1:]]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **meta,
            "labels": {**_map(template, "labels"), **labels},
            "annotations": {**_map(template, "annotations"), **notes},
        },
        "spec": {
            **kept,
            "activeDeadlineSeconds": min(own.get("activeDeadlineSeconds") or timeout, timeout),
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {
                **pod,
                "metadata": {
                    **(pod.get("metadata") or {}),
                    "labels": {**_map(pod, "labels"), **labels, names.COMPONENT: names.TRAINER},
                },
                "spec": {**pod["spec"], "containers": told},
            },
        },
    }


def _map(raw: Mapping[str, Any], field: str) -> dict[str, str]:
    return dict((raw.get("metadata") or {}).get(field) or {})


def _told(container: Mapping[str, Any], environment: Mapping[str, str]) -> Object:
    """Ours win over the template's of the same name."""
    own = [one for one in container.get("env") or () if one["name"] not in environment]
    return {**container, "env": [*own, *({"name": name, "value": text} for name, text in environment.items())]}


def _environment(snapshot: facts.Snapshot, run: trained.Run) -> dict[str, str]:
    """What the run is told. Its parent is the version that serves, in place of which its result is to come."""
    alarm, stable = snapshot.training.alarm, snapshot.status.stable
    record = snapshot.records.get(stable.revision) if stable is not None else None
    start = alarm.start or (stable.since if stable is not None else None)
    end = alarm.end or run.started_at
    model, samples = overlay.asked_for(snapshot), snapshot.spec.monitoring.samples
    return {
        "SEATRIAL_RUN": str(run.number),
        "SEATRIAL_TRIGGER": run.trigger.value,
        "SEATRIAL_REPORT": alarm.report,
        "SEATRIAL_WINDOW_FROM": start.isoformat() if start is not None else "",
        "SEATRIAL_WINDOW_TO": end.isoformat(),
        "SEATRIAL_SAMPLES": samples.sink if samples is not None else "",
        "SEATRIAL_PARENT_URI": record.uri if record is not None else model.uri,
        "SEATRIAL_PARENT_SHA256": stable.sha256 if stable is not None else model.sha256,
        "SEATRIAL_PARENT_VERSION": stable.model_version if stable is not None else model.label,
    }
