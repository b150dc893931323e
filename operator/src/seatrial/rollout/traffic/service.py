"""Provider `Service`: pods of one revision or of both are selected, so the share follows the number of ready pods.

No mesh, no CRD. Exposure is coarse; what was really served is measured from request counters. Two versions are shared
by selecting every server of the deployment, hence no third version may have pods meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seatrial.api import status
from seatrial.rollout import facts, looking, metadata, names

Object = dict[str, Any]

NOBODY = looking.NOBODY


def capacity(weight: int, replicas: int, *, shadow: int = 0) -> int:
    """The share follows the number of pods."""
    if weight >= 100:
        return replicas
    return min(replicas, max(1, round(weight * replicas / (100 - weight))))


def objects(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    """The Service, with the selector that this status asks for."""
    owner = snapshot.owner
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.of(owner, owner.name),
        "spec": {
            "selector": dict(_selector(snapshot, after)),
            "ports": [
                {"name": "http", "port": names.REST_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": names.GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"},
            ],
        },
    }


def in_force(snapshot: facts.Snapshot, after: status.Status) -> bool:
    """The Service has the selector asked for, and its endpoints hold those pods and none of another version. Pods that
    aren't ours and carry our labels are there to stay; nothing waits for them.
    """
    asked = asked_for(snapshot.owner.name, after)
    if snapshot.endpoints is None or dict(snapshot.endpoints.selector) != dict(asked):
        return False
    pinned = asked.get(names.REVISION)
    others = sum(count for of, count in snapshot.endpoints.ready.items() if of not in (pinned, facts.STRANGER))
    return pinned is None or (others == 0 and snapshot.endpoints.ready.get(pinned, 0) > 0)


def routed(snapshot: facts.Snapshot, after: status.Status) -> tuple[bool, str] | None:
    """Whether requests go where status says, in words; None while there is no Service."""
    if snapshot.endpoints is None:
        return None
    if dict(snapshot.endpoints.selector) == dict(asked_for(snapshot.owner.name, after)):
        return True, f"the selector is as asked{_strangers(snapshot.endpoints)}"
    held = _held(snapshot, after)
    if held is not None:
        return False, "the revision asked for has no pod Ready; whoever has goes on answering"
    return False, "the selector is being changed"


def _strangers(endpoints: facts.Endpoints) -> str:
    count = endpoints.ready.get(facts.STRANGER, 0)
    if not count:
        return ""
    return f"; requests also reach pods that aren't ours and carry our labels ({count} Ready): change their labels"


def drained(snapshot: facts.Snapshot, after: status.Status, revision: str) -> bool:
    """No endpoint holds the revision's pods, and nothing will send them requests again."""
    held = _held(snapshot, after)
    still_asked = held is not None and held.get(names.REVISION) in (None, revision)
    return snapshot.serving(revision) == 0 and not still_asked


def off(snapshot: facts.Snapshot, revision: str) -> bool:
    """New requests no longer reach the revision."""
    endpoints = snapshot.endpoints
    if endpoints is None or names.REVISION not in endpoints.selector:
        return False
    return endpoints.selector[names.REVISION] != revision and not endpoints.ready.get(revision, 0)


def asked_for(name: str, after: status.Status) -> Mapping[str, str]:
    """Pod labels to select: one revision, or all of this deployment's while the traffic is shared.

    A first version that was rejected leaves nobody to send requests to.
    """
    stable, candidate = after.stable, after.candidate
    everyone = {names.DEPLOYMENT: name, names.COMPONENT: names.SERVER}
    if stable is None:
        return {**everyone, names.REVISION: candidate.revision if candidate else NOBODY}
    if candidate is None or candidate.weight == 0:
        return {**everyone, names.REVISION: stable.revision}
    if candidate.weight == 100:
        return {**everyone, names.REVISION: candidate.revision}
    return everyone


def _selector(snapshot: facts.Snapshot, after: status.Status) -> Mapping[str, str]:
    return _held(snapshot, after) or asked_for(snapshot.owner.name, after)


def _held(snapshot: facts.Snapshot, after: status.Status) -> Mapping[str, str] | None:
    """Another selector than the one asked for, where that would find no pod Ready and this one does: the present one,
    for a version leaves only when somebody else can answer; else that of the version that is kept warm.
    """
    asked, endpoints = asked_for(snapshot.owner.name, after), snapshot.endpoints
    pinned = asked.get(names.REVISION)
    if endpoints is None or pinned in (None, NOBODY) or snapshot.ready(str(pinned)):
        return None
    now = endpoints.selector.get(names.REVISION)
    if any(pod.ready and pod.alive for pod in snapshot.pods if now in (None, pod.revision)):
        return endpoints.selector if dict(endpoints.selector) != dict(asked) else None
    warm = after.previous
    if warm is None or not snapshot.ready(warm.revision):
        return None
    return {**asked, names.REVISION: warm.revision}
