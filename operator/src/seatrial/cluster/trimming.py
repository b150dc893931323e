"""What is kept in memory of each kind: exactly what is read, so that an event which changes nothing else wakes nobody.

A kubelet reports a starting pod a dozen times; of all that only readiness, restarts, endings and what it waits for are
ever read. `managedFields`, time stamps of conditions and the specs of pods are most of the bytes and never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from seatrial import api

Object = Mapping[str, Any]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # kubectl's: the whole object once more
_ON_ITS_WAY = ("PodInitializing", "ContainerCreating")


def trim(kind: str, raw: Object) -> dict[str, Any]:
    """The part of an object that is read, without its resourceVersion."""
    return {"metadata": _metadata(raw["metadata"]), **_TRIM[kind](raw)}


def _metadata(meta: Object) -> dict[str, Any]:
    kept = {field: meta[field] for field in _METADATA if meta.get(field)}
    annotations = kept.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        kept["annotations"] = {name: text for name, text in annotations.items() if name != _LAST_APPLIED}
    return kept


def _fields(*names: str) -> Callable[[Object], dict[str, Any]]:
    return lambda raw: {name: raw[name] for name in names if name in raw}


def _deployment(raw: Object) -> dict[str, Any]:
    """What is wanted and its conditions; how many pods it counts is never read."""
    return {"spec": raw.get("spec") or {}, "status": {"conditions": _conditions(raw)}}


def _job(raw: Object) -> dict[str, Any]:
    """The same, and when it ended."""
    return {"spec": raw.get("spec") or {}, "status": {"conditions": _conditions(raw, "lastTransitionTime")}}


def _cron_job(raw: Object) -> dict[str, Any]:
    """What Jobs are made from; when its own schedule last ran is never read."""
    return {"spec": {field: raw["spec"][field] for field in ("suspend", "jobTemplate") if field in raw["spec"]}}


def _conditions(raw: Object, *more: str) -> list[dict[str, Any]]:
    fields = ("type", "status", "reason", "message", *more)
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return [{field: one[field] for field in fields if one.get(field)} for one in conditions]


def _route(raw: Object) -> dict[str, Any]:
    """What is wanted, and what each gateway says of it."""
    parents = (raw.get("status") or {}).get("parents") or ()
    told = [
        {"parentRef": one["parentRef"], "conditions": _conditions({"status": one}, "observedGeneration")}
        for one in parents
    ]
    return {"spec": raw.get("spec") or {}, "status": {"parents": told}}


def _pod(raw: Object) -> dict[str, Any]:
    status = raw.get("status") or {}
    kept = {
        field: status[field] for field in ("reason", "message", "podIP", "startTime") if status.get(field)
    }  # fmt: skip
    if status.get("phase") in ("Failed", "Succeeded"):
        kept["phase"] = status["phase"]
    told = [one for one in _conditions(raw) if one["type"] == "Ready" or one["status"] != "True"]
    kept["conditions"] = [
        {"type": "Ready", "status": one["status"]} if one["type"] == "Ready" else one
        for one in told
        if one["type"] in ("Ready", "PodScheduled")
    ]
    for containers in ("initContainerStatuses", "containerStatuses"):
        if status.get(containers):
            kept[containers] = [_container(one) for one in status[containers]]
    return {"status": kept}


def _container(raw: Object) -> dict[str, Any]:
    kept = {"name": raw["name"], "state": _state(raw.get("state") or {})}
    if raw.get("ready") and "running" in kept["state"]:  # while the pod's own condition says no: its node is lost
        kept["ready"] = True
    if raw.get("restartCount"):
        kept |= {"restartCount": raw["restartCount"], "lastState": _state(raw.get("lastState") or {})}
    return kept


def _state(state: Object) -> dict[str, Any]:
    if "running" in state:
        return {"running": {}}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason") not in _ON_ITS_WAY:
        return {"waiting": waiting}
    if ended:
        return {"terminated": {field: ended[field] for field in ("exitCode", "reason", "message") if field in ended}}
    return {}


_TRIM: Final[dict[str, Callable[[Object], dict[str, Any]]]] = {
    api.KIND: _fields("spec", "status"),
    "ConfigMap": _fields("data", "immutable"),
    "ControllerRevision": _fields("data", "revision"),
    "CronJob": _cron_job,
    "Deployment": _deployment,
    "EndpointSlice": _fields("endpoints"),
    "HTTPRoute": _route,
    "Job": _job,
    "Pod": _pod,
    "PodDisruptionBudget": _fields("spec"),
    "Service": _fields("spec"),
}
KINDS: Final = frozenset(_TRIM)
