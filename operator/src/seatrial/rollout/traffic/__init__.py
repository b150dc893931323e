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

from . import gateway, relay, service
from .provider import Object, Provider
from .relay import Annotation, asked_pods, assignments

__all__ = [
    "PROVIDERS",
    "Annotation",
    "asked_pods",
    "assignments",
    "drained",
    "in_force",
    "look_again",
    "objects",
    "off",
    "pods_needed",
    "routed",
]

PROVIDERS: Mapping[spec.Provider, Provider] = {
    spec.Provider.RELAY: relay,
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
    """The revision's pods may go. Whatever the provider is by now: no gateway leads to it, and nobody relays to it."""
    routed_away = PROVIDERS[snapshot.provider].drained(snapshot, after, revision) and gateway.settled(after, now)
    return routed_away and gateway.let_go(snapshot, revision) and relay.let_go(snapshot, revision, now, answered=True)


def look_again(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> timedelta | None:
    """When something is to be done that no event will tell of."""
    wishes = (relay.look_again(snapshot, after, now), gateway.look_again(after, now))
    return min((one for one in wishes if one is not None), default=None)


def off(snapshot: facts.Snapshot, revision: str, now: datetime) -> bool:
    """New requests no longer reach the revision."""
    routed_away = PROVIDERS[snapshot.provider].off(snapshot, revision) and gateway.let_go(snapshot, revision)
    return routed_away and relay.let_go(snapshot, revision, now, answered=False)
