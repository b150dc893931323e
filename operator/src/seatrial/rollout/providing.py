"""Which provider shares the traffic out, settled before a pass decides anything.

A rollout ends with the provider that it began with: it is noted on the candidate when its pods are asked for. A route
that was deleted when the spec no longer named its gateway can't be made anew: then the spec's provider goes on. Between
rollouts the spec says it; where the spec says nothing, an object keeps what it has until its spec changes, so that
another release's default changes nothing by itself.
"""

from __future__ import annotations

import msgspec

from seatrial.api import spec
from seatrial.api import stage as stages

from .facts import Snapshot
from .traffic import gateway, relay

BEGUN_UNNOTED = spec.Provider.SERVICE  # the first operators knew no other


def settled(snapshot: Snapshot) -> Snapshot:
    """The snapshot with its provider. Before the first weight it can still turn out that the pods can't relay."""
    candidate, asked = snapshot.status.candidate, asked_for(snapshot)
    provider = _noted(snapshot) or asked
    if provider is spec.Provider.GATEWAY_API and not gateway.known(snapshot):
        provider = asked
    unable = relay.unable(snapshot) if spec.Provider.RELAY in (provider, asked) else ""
    unweighted = candidate is None or isinstance(stages.of(candidate), stages.Trial | stages.Starting)
    if provider is spec.Provider.RELAY and unable and unweighted:
        provider = spec.Provider.SERVICE
    instead = (unable or "this rollout began with it") if provider is not asked else ""
    return msgspec.structs.replace(snapshot, provider=provider, instead=instead)


def words(snapshot: Snapshot) -> str:
    """That another provider than the one asked for shares the requests out, and why; nothing where it is the one."""
    if not snapshot.instead or snapshot.status.candidate is None:
        return ""
    return f"provider {snapshot.provider} in place of {asked_for(snapshot)}: {snapshot.instead}"


def asked_for(snapshot: Snapshot) -> spec.Provider:
    """Of a rollout that begins now."""
    rollout, before = snapshot.spec.rollout, snapshot.status.traffic
    if rollout.traffic.provider is not None:
        return rollout.traffic.provider
    if any(step.shadow for step in rollout.steps or ()):
        return spec.Provider.RELAY
    unchanged = snapshot.status.observed_generation == snapshot.owner.generation
    had = _known(before.asked or before.provider) if before is not None and unchanged else None
    return had or spec.DEFAULT_PROVIDER


def _noted(snapshot: Snapshot) -> spec.Provider | None:
    """Of the rollout under way; None before its pods are asked for. An older operator noted none on the candidate, or
    took the note away: then it is who shares the requests out.
    """
    candidate, told = snapshot.status.candidate, snapshot.status.traffic
    if candidate is None or isinstance(stages.of(candidate), stages.Trial):
        return None
    present = _known(told.provider) if told is not None else None
    return _known(candidate.provider) or present or BEGUN_UNNOTED


def _known(name: str) -> spec.Provider | None:
    """None for nothing, and for one of another release."""
    return next((one for one in spec.Provider if one.value == name), None)
