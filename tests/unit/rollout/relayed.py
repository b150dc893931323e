"""A rollout under provider Relay for tests: pods with assignments, what they are told, and what they report."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec
from tests.unit.rollout import build

from seatrial.api.spec import Provider, Traffic
from seatrial.api.status import Status
from seatrial.api.status import Traffic as TrafficStatus
from seatrial.rollout import facts
from seatrial.rollout.traffic import assignment, relay

ONE, TWO = build.name_of("1"), build.name_of("2")
LEASE = assignment.LEASE.total_seconds()


def servers(version: str, *assignments: str, **changes: object) -> tuple[facts.Pod, ...]:
    """Ready pods with addresses, one for each assignment."""
    return tuple(
        facts.Pod(
            **{
                "name": f"v{version}-{number}",
                "uid": f"v{version}-{number}",
                "revision": build.name_of(version),
                "ip": f"10.0.{version}.{number}",
                "ready": True,
                "assignment": text,
                **changes,
            }
        )
        for number, text in enumerate(assignments)
    )


def snapshot(*pods: facts.Pod, status: Status | None = None, **wish: object) -> facts.Snapshot:
    """In step 1 at 10 % unless said otherwise; keywords are those of spec.rollout.traffic."""
    traffic_ = Traffic(**{"provider": Provider.RELAY, **wish})
    return build.snapshot(
        build.spec(traffic=traffic_),
        status=status or canary(),
        pods=pods or (*servers("1", "", ""), *servers("2", "")),
        provider=Provider.RELAY,
        endpoints=build.endpoints("1", v1=2),
    )


def canary(*, relayed: str = TWO, withdrawn_at: datetime | None = None, **changes: object) -> Status:
    return Status(
        stable=build.STABLE,
        candidate=build.in_step(**{"provider": Provider.RELAY, **changes}),
        traffic=TrafficStatus(provider="Relay", relayed=relayed, withdrawn_at=withdrawn_at),
    )


def gone(*, relayed: str = TWO, withdrawn_at: datetime | None = None) -> Status:
    """The candidate was rejected; what it was given is being taken back."""
    told = TrafficStatus(provider="Relay", relayed=relayed, withdrawn_at=withdrawn_at)
    return Status(stable=build.STABLE, traffic=told)


TAKEN_BACK = gone(withdrawn_at=build.at(0))


def told(seen: facts.Snapshot, *, now: float = 0, after: Status | None = None) -> dict[str, dict | None]:
    """What annotations become, by pod."""
    changes = relay.assignments(seen, after or seen.status, build.at(now))
    return {one.pod: None if one.text is None else json.loads(one.text) for one in changes}


def given(seen: facts.Snapshot, *, now: float = 0) -> facts.Snapshot:
    """With the annotations written."""
    texts = {one.pod: one.text or "" for one in relay.assignments(seen, seen.status, build.at(now))}
    pods = (msgspec.structs.replace(pod, assignment=texts.get(pod.name, pod.assignment)) for pod in seen.pods)
    return msgspec.structs.replace(seen, pods=tuple(pods))


def reporting(seen: facts.Snapshot, at: float = 0, **report: object) -> facts.Snapshot:
    """All pods say this."""
    said = facts.RelayReport(at=build.at(at), **report)
    return msgspec.structs.replace(seen, pods=tuple(msgspec.structs.replace(pod, relay=said) for pod in seen.pods))
