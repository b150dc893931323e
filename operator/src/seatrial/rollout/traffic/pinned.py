"""A Service that leads to one version at a time: never to two, and to none only where nobody can answer.

For providers that share requests out elsewhere (in the pods, at a gateway): the Service stays on stable until all
traffic moves. Pure, and asked for each Service by what its endpoints are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.api import status
from seatrial.rollout import facts, looking, metadata, names

NOBODY = looking.NOBODY


def service(owner: facts.Owner, name: str, selector: Mapping[str, str]) -> dict[str, Any]:
    """A Service in front of serving pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata.of(owner, name),
        "spec": {
            "selector": dict(selector),
            "ports": [
                {"name": "http", "port": names.REST_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": names.GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"},
            ],
        },
    }


def asked_for(after: status.Status) -> str:
    """The revision that has all that isn't shared out elsewhere. A first version that was rejected leaves nobody."""
    stable, candidate = after.stable, after.candidate
    if candidate is not None and (stable is None or candidate.weight == 100):
        return candidate.revision
    return stable.revision if stable is not None else NOBODY


def revision(snapshot: facts.Snapshot, after: status.Status, now: facts.Endpoints | None) -> str:
    """Whom the Service with these endpoints shall lead to: the one asked for. While that has no pod Ready, the present
    one if it has, for a version leaves only when somebody else can answer; else the version that is kept warm.
    """
    asked, present, warm = asked_for(after), leads_to(now), after.previous
    if now is None or asked == NOBODY or snapshot.ready(asked):
        return asked
    if names.REVISION not in now.selector:  # as another provider may leave it
        present = next((one for one, count in sorted(now.ready.items()) if count and snapshot.ready(one)), NOBODY)
    if snapshot.ready(present):
        return present
    return warm.revision if warm is not None and snapshot.ready(warm.revision) else asked


def leads_to(now: facts.Endpoints | None) -> str:
    """The revision that the Service's selector names."""
    return now.selector.get(names.REVISION, NOBODY) if now is not None else NOBODY


def as_asked(after: status.Status, now: facts.Endpoints | None) -> bool:
    """The Service leads to the pods asked for and to none of another version. Pods that aren't ours and carry our
    labels are there to stay; nothing waits for them.
    """
    asked = asked_for(after)
    if now is None or leads_to(now) != asked:
        return False
    return bool(now.ready.get(asked)) and not any(n for of, n in now.ready.items() if of not in (asked, facts.STRANGER))
