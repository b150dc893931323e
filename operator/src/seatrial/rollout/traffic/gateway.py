"""Provider `GatewayAPI`: an HTTPRoute of ours with two weighted Services, so that a gateway shares request by request.

    gateway -- HTTPRoute <name> --+-- Service <name>-stable      whoever has all the rest
                                  +-- Service <name>-candidate   the candidate

The weights are the status's, asserted in every pass; other routes of the user are not touched. A gateway answers for a
Service without endpoints with an error, so the candidate's weight is 0 while it has no pod Ready. `<name>-stable`
moves to the candidate together with all traffic: when the candidate becomes stable and the weights turn round, both
Services lead to the same pods. `<name>-candidate` moves only while its weight is 0 and every gateway knows it.

Gateways apply what they have accepted a moment later, and don't send a request again that meets a closing connection:
pods go a while after the route has been followed.

What the gateway says counts as it is: a route is in force once each parent has Accepted and ResolvedRefs True at the
route's present generation. Knows nothing of any one gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from seatrial.api import spec, status
from seatrial.rollout import facts, metadata, names

from . import pinned, service

Object = dict[str, Any]

GROUP: Final = "gateway.networking.k8s.io"
NOT_INSTALLED: Final = (
    f"this cluster has no HTTPRoute ({GROUP}/v1): install the Gateway API's CRDs (standard channel, 1.0 or newer) and "
    "a gateway, or choose another spec.rollout.traffic.provider; it is looked for again every 15 s"
)
REQUIRED: Final = ("Accepted", "ResolvedRefs")
PARTIAL: Final = "PartiallyInvalid"
APPLIED: Final = timedelta(seconds=5)  # from Accepted on; Traefik takes up to 2 s by default

capacity = service.capacity


# what is asked for


def objects(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    """Services first: a route to a Service that isn't there is refused by the gateway."""
    name = snapshot.owner.name
    for one in (name, names.stable_service(name)):
        leads_to = pinned.revision(snapshot, after, snapshot.backends.get(one))
        yield pinned.service(snapshot.owner, one, names.selector(name, leads_to))
    behind = names.selector(name, _on_trial(snapshot, after))
    yield pinned.service(snapshot.owner, names.candidate_service(name), behind)
    yield _route(snapshot, after)


def _route(snapshot: facts.Snapshot, after: status.Status) -> Object:
    """Every field that has a default is written out: what is asked for and what is there can be compared."""
    name, wish = snapshot.owner.name, _wish(snapshot)
    weights = _weights(name, _weight(snapshot, after))
    backends = [
        {"group": "", "kind": "Service", "name": one, "port": names.REST_PORT, "weight": weight}
        for one, weight in weights.items()
    ]
    everything = {"path": {"type": "PathPrefix", "value": "/"}}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": metadata.of(snapshot.owner, name),
        "spec": {
            "parentRefs": [_reference(one) for one in wish.parent_refs],
            "hostnames": [*wish.hostnames],
            "rules": [{"matches": [everything], "backendRefs": backends}],
        },
    }


def _wish(snapshot: facts.Snapshot) -> spec.Gateway:
    """The spec's. Another provider is wanted next where it has none: the rollout under way ends as it began."""
    present = snapshot.route.asked if snapshot.route is not None else spec.Gateway(parent_refs=())
    return snapshot.spec.rollout.traffic.gateway or present


def known(snapshot: facts.Snapshot) -> bool:
    """There is a gateway that a route could be made for."""
    return bool(_wish(snapshot).parent_refs)


def _reference(one: spec.ParentRef) -> Object:
    optional = {"namespace": one.namespace, "sectionName": one.section_name}
    return {
        "group": GROUP,
        "kind": "Gateway",
        "name": one.name,
        **{field: value for field, value in optional.items() if value is not None},
    }


def _weights(name: str, candidates: int) -> Mapping[str, int]:
    return {names.stable_service(name): 100 - candidates, names.candidate_service(name): candidates}


def _weight(snapshot: facts.Snapshot, after: status.Status) -> int:
    """The candidate's share as far as it can be given now."""
    candidate = after.candidate
    if candidate is None or not _leads_to(snapshot, candidate.revision):
        return 0
    return candidate.weight


def _leads_to(snapshot: facts.Snapshot, revision: str) -> bool:
    """The candidate's Service has pods of that revision Ready, and no others."""
    behind = snapshot.backends.get(names.candidate_service(snapshot.owner.name))
    return behind is not None and pinned.leads_to(behind) == revision and bool(behind.ready.get(revision))


def _on_trial(snapshot: facts.Snapshot, after: status.Status) -> str:
    """Whom the candidate's Service leads to: the present one while a gateway may send it requests, or nobody new is
    there.
    """
    one = names.candidate_service(snapshot.owner.name)
    present = pinned.leads_to(snapshot.backends.get(one))
    return present if after.candidate is None or _in_use(snapshot, one) else after.candidate.revision


# what is so


def in_force(snapshot: facts.Snapshot, after: status.Status) -> bool:
    """The gateways route as asked, and behind the Services are the pods asked for and no others."""
    return not _missing(snapshot, after)


def routed(snapshot: facts.Snapshot, after: status.Status) -> tuple[bool, str] | None:
    """Whether requests go where status says; where they don't, in the gateway's own words."""
    missing = _missing(snapshot, after)
    return not missing, missing or "every gateway has accepted the route as it is"


def _missing(snapshot: facts.Snapshot, after: status.Status) -> str:
    """The first thing that isn't as asked; nothing when all is."""
    name, route, candidate = snapshot.owner.name, snapshot.route, after.candidate
    if route is None:
        return f"there is no HTTPRoute {name}"
    asked = candidate.weight if candidate is not None else 0
    if candidate is not None and asked and not _leads_to(snapshot, candidate.revision):
        return "the candidate's Service leads to no pod Ready; its weight is 0 meanwhile"
    if route.weights != _weights(name, asked):
        return "the route's weights are not the ones asked for; they are being set"
    for one in _wish(snapshot).parent_refs:
        if refused := _refused(snapshot, route, one):
            return refused
    both = (name, names.stable_service(name))
    late = (one for one in both if not pinned.as_asked(after, snapshot.backends.get(one)))
    return next((f"Service {one} doesn't lead to the version asked for yet" for one in late), "")


def _refused(snapshot: facts.Snapshot, route: facts.Route, asked: spec.ParentRef) -> str:
    """Why a gateway doesn't route as asked; nothing when it does. Of several that answer for one parent (one is a
    leftover of another gateway then) the best word counts.
    """
    answers = [one for one in route.parents if one.key == _key(snapshot, asked)]
    gateway = f"gateway {asked.namespace or snapshot.owner.namespace}/{asked.name}"
    if asked.section_name:
        gateway += f" ({asked.section_name})"
    if not answers:
        return f"{gateway} has not answered: there is none of that name, or nothing serves it"
    words = [_against(one, generation=route.generation) for one in answers]
    return "" if "" in words else f"{gateway} {words[0]}"


def _against(parent: facts.Parent, *, generation: int) -> str:
    for kind in REQUIRED:
        said = parent.conditions.get(kind)
        if said is None or said.generation < generation:
            return "has not followed the route's last change yet"
        if said.status != "True":
            return f"says {kind}={said.status}, {_words(said)}"
    partial = parent.conditions.get(PARTIAL)
    if partial is not None and partial.status == "True" and partial.generation >= generation:
        return f"says {PARTIAL}, {_words(partial)}"
    return ""


def _words(said: facts.Said) -> str:
    return f"{said.reason}: {said.message}" if said.message else said.reason


def drained(snapshot: facts.Snapshot, after: status.Status, revision: str) -> bool:
    """No gateway and no Service in use leads to the revision, and none will again."""
    name, candidate = snapshot.owner.name, after.candidate
    ends = (snapshot.backends.get(one) for one in (name, names.stable_service(name)))
    asked = {pinned.revision(snapshot, after, now) for now in ends}
    if candidate is not None and candidate.weight:
        asked.add(candidate.revision)
    return revision not in asked and not any(snapshot.backends[one].serving.get(revision) for one in _used(snapshot))


def let_go(snapshot: facts.Snapshot, revision: str) -> bool:
    """No gateway leads to the revision, whatever the provider is by now: the route of one that was goes last."""
    return not any(snapshot.backends[one].serving.get(revision) for one in _led_to(snapshot))


def settled(after: status.Status, now: datetime) -> bool:
    """What the gateways have said last is so for a while."""
    return look_again(after, now) is None


def look_again(after: status.Status, now: datetime) -> timedelta | None:
    """When it will be; None where it is, and with every other provider."""
    routed = next((one for one in after.conditions if one.type == "Routed"), None)
    if routed is None or routed.reason != spec.Provider.GATEWAY_API:
        return None
    left = routed.last_transition_time + APPLIED - now
    return left if left > timedelta(0) else None


def off(snapshot: facts.Snapshot, revision: str) -> bool:
    """New requests no longer reach the revision."""
    used = [snapshot.backends[one] for one in _used(snapshot)]
    return not any(pinned.leads_to(one) == revision or one.ready.get(revision) for one in used)


def _used(snapshot: facts.Snapshot) -> list[str]:
    """Services that requests may come through: the one inside the cluster, and those that a gateway leads to."""
    name = snapshot.owner.name
    return [one for one in (name, *_led_to(snapshot)) if one in snapshot.backends]


def _led_to(snapshot: facts.Snapshot) -> list[str]:
    """Services that a gateway leads to."""
    both = (names.stable_service(snapshot.owner.name), names.candidate_service(snapshot.owner.name))
    return [one for one in both if _in_use(snapshot, one) and one in snapshot.backends]


def _in_use(snapshot: facts.Snapshot, of: str) -> bool:
    """The route gives the Service a weight, or a gateway may still follow one that did."""
    route = snapshot.route
    if route is None:
        return False
    return bool(route.weights.get(of, 0)) or not _followed(snapshot, route)


def _followed(snapshot: facts.Snapshot, route: facts.Route) -> bool:
    """No gateway of ours routes by an older generation; one that has never answered routes by none."""
    ours = {_key(snapshot, one) for one in _wish(snapshot).parent_refs}
    said = (parent.conditions.get(kind) for parent in route.parents if parent.key in ours for kind in REQUIRED)
    return all(one.generation >= route.generation for one in said if one is not None)


def _key(snapshot: facts.Snapshot, one: spec.ParentRef) -> facts.ParentKey:
    return facts.ParentKey.of(one, snapshot.owner.namespace)
