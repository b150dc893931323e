"""From the API's JSON to facts: the only place that digs in dicts of other kinds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api import values
from seatrial.rollout import facts, names, report, revision

Object = Mapping[str, Any]

CRASHES = 2  # restarts before CrashLoopBackOff is believed: a pod may stumble once


def revision_of(child: Object) -> str:
    return str(child["metadata"].get("labels", {}).get(names.REVISION, ""))


def component_of(child: Object) -> str:
    return str(child["metadata"].get("labels", {}).get(names.COMPONENT, ""))


def created(raw: Object) -> datetime:
    return msgspec.convert(raw["metadata"]["creationTimestamp"], datetime)


def pod(raw: Object) -> facts.Pod:
    """One pod of a server."""
    status = raw.get("status", {})
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    waiting = [one.get("state", {}).get("waiting", {}) for one in containers]
    looping = any(
        state.get("reason") == "CrashLoopBackOff" and one.get("restartCount", 0) >= CRASHES
        for one, state in zip(containers, waiting, strict=True)
    )
    return facts.Pod(
        name=raw["metadata"]["name"],
        revision=revision_of(raw),
        uid=raw["metadata"].get("uid", ""),
        ip=status.get("podIP", ""),
        ready=_condition(raw, "Ready").get("status") == "True",
        leaving="deletionTimestamp" in raw["metadata"],
        started_at=msgspec.convert(status["startTime"], datetime) if "startTime" in status else None,
        crash_looping=looping,
        trouble=_trouble(raw, containers),
    )


def _trouble(raw: Object, containers: Iterable[Object]) -> str:
    """The most telling words a pod has: how a container ended, why one waits, why it isn't scheduled."""
    for container in containers:
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated", {})
            if ended.get("exitCode", 0) != 0:
                words = _error(ended.get("message", "")) or ended.get("reason", "")
                return f"{container['name']}: {words} (exit code {ended['exitCode']})"
    for container in containers:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return f"{container['name']}: {waiting['reason']}: {waiting.get('message', '')}"
    scheduled = _condition(raw, "PodScheduled")
    return str(scheduled.get("message", "")) if scheduled.get("status") == "False" else ""


def _error(message: str) -> str:
    """Our containers end with {"error": ...}; others with anything."""
    try:
        said = msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return message.strip()
    return str(said.get("error", message)).strip()


def deployment(raw: Object) -> facts.Deployment:
    failure = _condition(raw, "ReplicaFailure")
    refused = failure.get("status") == "True"
    return facts.Deployment(
        replicas=raw["spec"].get("replicas", 1), refusal=str(failure.get("message", "")) if refused else ""
    )


def endpoints(service: Object | None, slices: Iterable[Object], pods: Iterable[facts.Pod]) -> facts.Endpoints | None:
    """Where the Service sends requests; None while there is no Service."""
    if service is None:
        return None
    revisions = {one.name: one.revision for one in pods}
    ready: dict[str, int] = {}
    serving: dict[str, int] = {}
    for endpoint in (endpoint for one in slices for endpoint in one.get("endpoints") or ()):
        of = revisions.get((endpoint.get("targetRef") or {}).get("name", ""), "")
        states = endpoint.get("conditions", {})
        if states.get("ready", True):
            ready[of] = ready.get(of, 0) + 1
        if states.get("ready", True) or states.get("serving", False):
            serving[of] = serving.get(of, 0) + 1
    return facts.Endpoints(selector=service["spec"].get("selector", {}), ready=ready, serving=serving)


def job(raw: Object) -> tuple[facts.JobState, str]:
    """State of a Job and, when it failed, the Job controller's words."""
    if _condition(raw, "Complete").get("status") == "True":
        return facts.JobState.SUCCEEDED, ""
    failed = _condition(raw, "Failed")
    if failed.get("status") == "True":
        return facts.JobState.FAILED, f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}"
    return facts.JobState.RUNNING, ""


def termination(raw: Object) -> tuple[str, str]:
    """(report digest, error) from the termination message of a trial's pod; both may be empty."""
    for container in raw.get("status", {}).get("containerStatuses", ()):
        message = container.get("state", {}).get("terminated", {}).get("message", "")
        if message:
            try:
                said = msgspec.json.decode(message, type=dict[str, Any])
            except (msgspec.MsgspecError, RecursionError):
                return "", message.strip()
            return str(said.get("sha256", "")), str(said.get("error", ""))
    return "", _trouble(raw, raw.get("status", {}).get("containerStatuses", ()))


def record(raw: Object) -> revision.Record:
    """Raises msgspec.ValidationError for a ControllerRevision that isn't ours."""
    return msgspec.convert(
        {**raw["data"], "number": raw.get("revision", 0)}, revision.Record, dec_hook=values.decode_hook
    )


def known_report(raw: Object) -> report.Report:
    """The trial's report that a revision's ConfigMap keeps. Raises ReportError."""
    line = raw.get("data", {}).get("report.json", "")
    return report.decode(line, report.digest_of(line))


def _condition(raw: Object, kind: str) -> Object:
    conditions = raw.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})
