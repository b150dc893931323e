"""One pod's JSON as facts: does it count, what keeps it, and whose fault that is. Pure.

Two kinds of trouble are told apart, since only one of them says something about the version: what the same bytes would
do again anywhere (the server crashes, preparing the model fails, the image doesn't exist), and what another node or
another minute may mend (no room, an eviction, a store that doesn't answer).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.rollout import facts, names

Object = Mapping[str, Any]
Fault = facts.Fault

CRASHES = 2  # restarts before CrashLoopBackOff is believed: a pod may stumble once
SERVER = "server"
TRIAL = "trial"
FETCH = "fetch"
OURS = (FETCH, "prepare", SERVER, TRIAL)  # a sidecar that a policy injected says nothing about the version

_ON_ITS_WAY = (None, "PodInitializing", "ContainerCreating")
_NO_SUCH_IMAGE = ("not found", "manifest unknown", "does not exist", "invalid reference")
_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_LOST = "ContainerStatusUnknown"  # the kubelet's word for a container that its node lost


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a trial's pod ended, or what keeps it.

    Attributes:
        done: the trial's own container ended well; a sidecar may still run.
        digest: of the report, as the trial states it.
        error: what went wrong, in its words.
        fault: whose fault that is; None when nothing went wrong.
    """

    done: bool = False
    digest: str = ""
    error: str = ""
    fault: Fault | None = None


class _Trouble(msgspec.Struct, frozen=True):
    words: str = ""
    fault: Fault | None = None


_NONE = _Trouble()


def read(raw: Object) -> facts.Pod:
    """One pod of a server."""
    status, meta = raw.get("status") or {}, raw["metadata"]
    ready = condition(raw, "Ready").get("status") == "True"
    failed = status.get("phase") in ("Failed", "Succeeded")
    server: Object = next((one for one in status.get("containerStatuses") or () if one["name"] == SERVER), {})
    trouble = _ended(raw) if failed else _trouble(raw)
    if trouble is _NONE and not ready and "running" in (server.get("state") or {}):
        # Its own probe says no; of a pod whose node is lost only the pod's condition is changed, by somebody else.
        trouble = _Trouble(fault=Fault.SURROUNDINGS if server.get("ready") else Fault.VERSION)
    return facts.Pod(
        name=meta["name"],
        revision=str((meta.get("labels") or {}).get(names.REVISION, "")),
        uid=meta.get("uid", ""),
        ip=status.get("podIP", ""),
        ready=ready and not failed,
        leaving=failed or "deletionTimestamp" in meta,
        failed=failed,
        started_at=msgspec.convert(status["startTime"], datetime) if "startTime" in status else None,
        crash_looping=_loops(server) and server.get("restartCount", 0) >= CRASHES,
        fault=None if ready and not failed else trouble.fault,
        trouble=trouble.words,
        assignment=str((meta.get("annotations") or {}).get(names.RELAY, "")),
    )


def server_of(raw: Object, owner: str) -> bool:
    """Whether a pod belongs to a Deployment of ours, rather than only carrying our labels.

    Its controller must be the ReplicaSet that such a Deployment makes for the pod's own template. ReplicaSets need not
    be read for that: names are unique, and the one of that name is the Deployment's.
    """
    meta = raw["metadata"]
    labels = meta.get("labels") or {}
    deployment = names.of_revision(owner, str(labels.get(names.REVISION, "")))
    made = f"{deployment}-{labels.get('pod-template-hash', '')}"
    controllers = (one for one in meta.get("ownerReferences") or () if one.get("controller"))
    return labels.get(names.COMPONENT) == names.SERVER and any(
        one["kind"] == "ReplicaSet" and one["name"] == made for one in controllers
    )


def ending(raw: Object) -> Ending:
    """How a trial's pod ended. Its container may have ended while the pod runs on with a sidecar."""
    status = raw.get("status") or {}
    if status.get("phase") == "Failed" and "reason" in status:  # the node's doing, whatever it did to the container
        trouble = _ended(raw)
        return Ending(error=trouble.words, fault=trouble.fault)
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if container["name"] == TRIAL and ended:
            said = _said(ended.get("message", ""))
            done = ended.get("exitCode", 0) == 0
            if done and "error" not in said:
                return Ending(done=True, digest=str(said.get("sha256", "")))
            return Ending(done=done, error=_words(said, ended), fault=_blame(container, said, ended))
    trouble = _ended(raw) if status.get("phase") == "Failed" else _trouble(raw)
    return Ending(error=trouble.words, fault=trouble.fault)


def _ended(raw: Object) -> _Trouble:
    """A pod that ended for good: what its node said, else what its container did."""
    status = raw.get("status") or {}
    said = ": ".join(part for part in (status.get("reason", ""), status.get("message", "")) if part)
    if said:
        return _Trouble(said, Fault.SURROUNDINGS)
    found = _trouble(raw)
    return found if found is not _NONE else _Trouble(fault=Fault.UNKNOWN)


def _trouble(raw: Object) -> _Trouble:
    """The most telling words a pod has: how a container ended, why one waits, why it isn't scheduled."""
    containers = tuple(_containers(raw))
    for container in containers:
        ended = _failure(container)
        if ended:
            said = _said(ended.get("message", ""))
            words = f"{container['name']}: {_words(said, ended)} (exit code {ended['exitCode']})"
            return _Trouble(words, _blame(container, said, ended))
    for container in containers:
        if _waiting(container).get("reason") not in _ON_ITS_WAY:
            return _Trouble(_waits(container), _blame_waiting(_waiting(container)))
    scheduled = condition(raw, "PodScheduled")
    if scheduled.get("status") == "False":
        return _Trouble(str(scheduled.get("message", "")), Fault.SURROUNDINGS)
    return _NONE


def _blame(container: Object, said: Mapping[str, Any], ended: Object) -> Fault:
    """The container's own word counts. Without one: a fetch fails for its store, anything else for its bytes."""
    if ended.get("reason") == _LOST:
        return Fault.SURROUNDINGS
    retryable = said.get("retryable")
    if isinstance(retryable, bool):
        return Fault.SURROUNDINGS if retryable else Fault.VERSION
    fetches = container["name"].partition("-")[0] == FETCH  # a trial has several, by their stores
    if not fetches and container["name"] not in OURS:
        return Fault.UNKNOWN
    return Fault.SURROUNDINGS if fetches else Fault.VERSION


def _blame_waiting(waiting: Object) -> Fault:
    reason, message = waiting.get("reason"), str(waiting.get("message", ""))
    if reason == "InvalidImageName" or (reason in _IMAGE and any(words in message for words in _NO_SUCH_IMAGE)):
        return Fault.VERSION
    if reason == "CrashLoopBackOff":
        return Fault.VERSION
    if reason == "CreateContainerConfigError":
        return Fault.SURROUNDINGS  # a ConfigMap or Secret is missing
    return Fault.UNKNOWN  # a registry that is away and one that refuses read alike


def _containers(raw: Object) -> Iterator[Object]:
    status = raw.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _failure(container: Object) -> Object:
    """How a container ended badly, now or the last time; empty when it didn't, or has done its work since."""
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended: Object = state.get("terminated") or {}
        if ended:
            return ended if ended.get("exitCode", 0) != 0 else {}
    return {}


def _waiting(container: Object) -> Object:
    found: Object = (container.get("state") or {}).get("waiting") or {}
    return found


def _waits(container: Object) -> str:
    waiting = _waiting(container)
    return f"{container['name']}: {waiting['reason']}: {waiting.get('message', '')}"


def _loops(container: Object) -> bool:
    return _waiting(container).get("reason") == "CrashLoopBackOff"


def _words(said: Mapping[str, Any], ended: Object) -> str:
    return str(said.get("error", ended.get("message", ""))).strip() or str(ended.get("reason", ""))


def _said(message: str) -> dict[str, Any]:
    """Our containers end with a JSON object; others with anything."""
    try:
        return msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {"error": message} if message else {}


def condition(raw: Object, kind: str) -> Object:
    """The condition of a type, an empty one when there is none."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})
