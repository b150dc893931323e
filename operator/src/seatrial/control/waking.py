"""Which change in the cluster makes the operator look at which object, how soon, and in which lane. Pure.

A starting pod changes half a dozen times within seconds and only the last change matters, so most changes wait a moment
for company. What traffic depends on doesn't wait: a pod that becomes Ready or stops being it, that crashes or leaves,
and every change of the object itself.
"""

from __future__ import annotations

import msgspec

from seatrial import api
from seatrial.cluster import access, store
from seatrial.control import health
from seatrial.control.queue import Key, Lane
from seatrial.rollout import names

SOON = 0.2
WITH_COMPANY = 1.0

CHILD_LABELS: access.Labels = {names.MANAGED_BY: names.MANAGER, names.DEPLOYMENT: None}
TEMPLATE = "CronJob"
TEMPLATE_LABELS: access.Labels = {names.FOR_MODELS: "true"}  # a cluster may have thousands that run every minute


class Wake(msgspec.Struct, frozen=True):
    """A look at `key`, so many seconds from now."""

    key: Key
    after: float = 0.0
    lane: Lane = Lane.OTHER


def labels(kind: str) -> access.Labels | None:
    """Which objects of a kind are watched; None is all."""
    if kind == api.KIND:
        return None
    return TEMPLATE_LABELS if kind == TEMPLATE else CHILD_LABELS


def owner_of(kind: str, raw: access.Object) -> str:
    """The name of the ModelDeployment that an object is or belongs to, by its labels; "" for none. A template belongs
    to all that name it, so it has its own.
    """
    if kind in (api.KIND, TEMPLATE):
        return str(raw["metadata"]["name"])
    labels = raw["metadata"].get("labels") or {}
    return str(labels.get(names.DEPLOYMENT, "")) if labels.get(names.MANAGED_BY) == names.MANAGER else ""


def wakes(change: store.Change, seen: store.Store) -> list[Wake]:
    """What a change asks for; that of a template, of everyone who names it."""
    if change.kind == TEMPLATE:
        return [Wake(Key(change.namespace, one), after=SOON) for one in seen.naming(change.namespace, change.name)]
    return [wake(change)]


def wake(change: store.Change) -> Wake:
    """What a change of the object, or of a child, asks for."""
    key = Key(change.namespace, change.owner)
    if change.kind == api.KIND:
        return Wake(key, lane=_lane(change.after))
    if change.kind == "Pod":
        return Wake(key, after=_patience(change.before, change.after))
    return Wake(key, after=SOON)


def key(raw: access.Object) -> Key:
    """Of the object itself."""
    return Key(raw["metadata"]["namespace"], raw["metadata"]["name"])


def stable(raw: access.Object) -> object:
    """What its status says of the version that serves."""
    return (raw.get("status") or {}).get("stable")


def _lane(raw: access.Object | None) -> Lane:
    """A rollout under way goes first, then what somebody has just changed; then new objects, which may be many."""
    status = (raw or {}).get("status") or {}
    if "candidate" in status:
        return Lane.ROLLOUT
    seen = status.get("observedGeneration", -1)
    return Lane.CHANGED if raw and 0 < seen < raw["metadata"].get("generation", 0) else Lane.OTHER


def _patience(before: access.Object | None, after: access.Object | None) -> float:
    if before is None or after is None:
        return SOON
    return WITH_COMPANY if _telling(before) == _telling(after) else 0.0


def _telling(raw: access.Object) -> tuple[bool | int, ...]:
    """What traffic depends on."""
    seen = health.read(raw)
    containers = (raw.get("status") or {}).get("containerStatuses") or ()
    restarts = sum(one.get("restartCount", 0) for one in containers)
    return seen.ready, seen.leaving, seen.failed, seen.crash_looping, restarts
