"""Who gets requests: the seam between what status asks for and what routes them.

A provider turns a status into objects and says from what is observed whether they are in force. It alone knows how a
share is made; nobody else looks at selectors, routes or endpoints. One module a provider, one row for it in
`PROVIDERS`; which one a rollout has is settled by `rollout.providing` before anything is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from seatrial.api import spec, status
from seatrial.rollout import facts

from . import gateway, service
from .provider import Object, Provider

__all__ = ["PROVIDERS", "drained", "in_force", "look_again", "objects", "off", "pods_needed", "routed"]

PROVIDERS: Mapping[spec.Provider, Provider] = {
    spec.Provider.SERVICE: service,
    spec.Provider.GATEWAY_API: gateway,
}


def pods_needed(weight: int, replicas: int, *, provider: spec.Provider = spec.Provider.SERVICE, shadow: int = 0) -> int:
    """Candidate pods that must be Ready for this share."""
    return PROVIDERS[provider].capacity(weight, replicas, shadow=shadow)


def objects(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    """What routes the requests as this status asks for."""
    return PROVIDERS[snapshot.provider].objects(snapshot, after)


def in_force(snapshot: facts.Snapshot, after: status.Status) -> bool:
    """Requests go where this status says."""
    return PROVIDERS[snapshot.provider].in_force(snapshot, after)


def routed(snapshot: facts.Snapshot, after: status.Status) -> tuple[bool, str] | None:
    """The condition `Routed`; None while there is nothing to tell of."""
    return PROVIDERS[snapshot.provider].routed(snapshot, after)


def drained(snapshot: facts.Snapshot, after: status.Status, revision: str, now: datetime) -> bool:
    """The revision's pods may go."""
    return PROVIDERS[snapshot.provider].drained(snapshot, after, revision) and gateway.settled(after, now)


def look_again(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> timedelta | None:
    """When something is to be done that no event will tell of."""
    return gateway.look_again(after, now)


def off(snapshot: facts.Snapshot, revision: str) -> bool:
    """New requests no longer reach the revision."""
    return PROVIDERS[snapshot.provider].off(snapshot, revision)
