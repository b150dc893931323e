"""The small world with a gateway in front: Services and a route that are followed late, each in its own time.

    road.selectors, road.route      what the operator has written
    road.behind[SERVICE]            what the endpoints of a Service follow
    road.config                     what the gateway follows: weights by Service, of one generation of the route

What a request meets is what is followed. `lag` says which followers move in a step; the promise is checked after every
write and every move: nobody is sent where nobody answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec
from tests.unit.rollout import world as worlds

from seatrial.api import spec as specs
from seatrial.api.spec import Spec
from seatrial.control import reading
from seatrial.rollout import facts, names

GATEWAY = specs.Gateway(parent_refs=(specs.ParentRef(name="front", namespace="edge"),), hostnames=("churn.example",))
STABLE, CANDIDATE = names.stable_service("churn"), names.candidate_service("churn")
FRONT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front", "namespace": "edge"}
ACCEPTED = ("True", "Accepted", "")


def spec(version: str = "1", **changes: object) -> Spec:
    """The small world's, with this provider."""
    return fronted(worlds.spec(version, **changes))


def fronted(wish: Spec) -> Spec:
    """The same behind the gateway."""
    traffic = specs.Traffic(provider=specs.Provider.GATEWAY_API, gateway=GATEWAY)
    return msgspec.structs.replace(wish, rollout=msgspec.structs.replace(wish.rollout, traffic=traffic))


class Road(worlds.World):
    """One ModelDeployment behind a gateway."""

    def __init__(self, wish: Spec, *, lag: Callable[[str], bool] | None = None) -> None:
        super().__init__(wish)
        self.late: set[str] = set()  # followers (a Service's name, or "gateway") that stay behind
        self.lag = lag or (lambda follower: follower in self.late)  # whether one does in this step
        self.selectors: dict[str, dict[str, str]] = {}
        self.behind: dict[str, dict[str, str]] = {}
        self.route: dict | None = None
        self.config: dict[str, int] = {}
        self.answer: tuple[str, str, str] | None = ACCEPTED  # None: there is no gateway that would
        self.disturbed = False  # pods went without being asked: then somebody may meet nobody for a moment

    # what is written

    def put(self, wanted: dict) -> None:
        name = wanted["metadata"]["name"]
        match wanted["kind"]:
            case "Service":
                self.selectors[name] = wanted["spec"]["selector"]
                if name == "churn":
                    super().put(wanted)
            case "HTTPRoute":
                self._write_route(wanted["spec"])
            case _:
                super().put(wanted)
        self.check_answered()

    def _write_route(self, asked: dict) -> None:
        before = self.route or {"metadata": {"generation": 0}, "status": {"parents": []}}
        if before.get("spec") == asked:
            return
        self.route = {
            "metadata": {"namespace": "shop", "name": "churn", "generation": before["metadata"]["generation"] + 1},
            "spec": copy.deepcopy(asked),
            "status": before["status"],
        }

    def overwrite(self, **weights: int) -> None:
        """Somebody else changes the route."""
        assert self.route is not None
        asked = copy.deepcopy(self.route["spec"])
        for one in asked["rules"][0]["backendRefs"]:
            one["weight"] = weights[one["name"].removeprefix("churn-")]
        self._write_route(asked)

    def lose_route(self) -> None:
        """Requests find no route then; a gateway says so at once."""
        self.route, self.config = None, {}

    def delete(self, kind: str, of: str) -> None:
        if kind == "HTTPRoute":
            self.lose_route()
        else:
            super().delete(kind, of)

    def _observed(self):
        yield from super()._observed()
        meta = {"labels": {}, "uid": "u"}
        if self.route is not None:
            yield {"kind": "HTTPRoute", "metadata": {**meta, "name": "churn"}}
        for name in self.selectors:
            yield {"kind": "Service", "metadata": {**meta, "name": name}}

    # who follows

    def _advance(self) -> None:
        for name, selector in self.selectors.items():
            if not self.lag(name):
                self.behind[name] = selector
                self.check_answered()
        if not self.lag("gateway"):
            self._follow_route()
            self.check_answered()
        super()._advance()
        self.check_answered()

    def _follow_route(self) -> None:
        if self.route is None or self.answer is None:
            return
        status, reason, message = self.answer
        generation = self.route["metadata"]["generation"]
        accepted = {"type": "Accepted", "status": status, "reason": reason, "message": message}
        resolved = {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs"}
        said = [{**one, "observedGeneration": generation} for one in (accepted, resolved)]
        self.route["status"] = {"parents": [{"parentRef": FRONT, "conditions": said}]}
        seen = reading.route(self.route)
        assert seen is not None
        self.config = dict(seen.weights) if status == "True" else {}

    # what is seen, and met

    def _children(self) -> facts.Snapshot:
        backends = {name: self._behind(name) for name in self.selectors}
        return msgspec.structs.replace(super()._children(), backends=backends, route=reading.route(self.route))

    def _endpoints(self) -> facts.Endpoints | None:
        return self._behind("churn") if "churn" in self.selectors else None

    def _behind(self, name: str) -> facts.Endpoints:
        ready: dict[str, int] = {}
        for pod in self.met(name):
            ready[pod.revision] = ready.get(pod.revision, 0) + 1
        if strangers := self.strangers_met(name):
            ready[facts.STRANGER] = strangers
        return facts.Endpoints(selector=self.selectors[name], ready=ready, serving=ready)

    @property
    def _followed(self) -> dict[str, str] | None:
        return self.behind.get("churn")

    def met(self, service: str) -> list[facts.Pod]:
        """Pods that endpoints of a Service hold."""
        return self._led_to(self.behind.get(service))

    def strangers_met(self, service: str) -> int:
        """Pods of others that these endpoints hold as well."""
        return 0

    def _selected(self) -> list[facts.Pod]:
        led_to = ["churn", *(name for name, weight in self.config.items() if weight)]
        met = {pod.name: pod for name in led_to for pod in self.met(name)}
        return list(met.values())

    def _asked(self) -> dict[str, int]:
        """By the weights that the gateway follows; where it follows none, clients use the Service."""
        given: dict[str, float] = {}
        for service, weight in (self.config or {"churn": 100}).items():
            pods = self.met(service)
            for pod in pods:
                among = len(pods) + self.strangers_met(service)
                given[pod.name] = given.get(pod.name, 0) + 2.5 * weight / among
        return {pod: round(count) for pod, count in given.items()}

    def share(self, version: str) -> float:
        """Of the requests, in percent, that a version is given now."""
        at = [
            service
            for service in self.config
            if any(self.version(pod.revision) == version for pod in self.met(service))
        ]
        return sum(self.config[service] for service in at)

    def kill(self, version: str) -> None:
        """All pods of a version, at once."""
        self.disturbed = True
        for pod in [one for one in self.pods.values() if self.version(one.revision) == version]:
            self.remove(pod)

    def check_answered(self) -> None:
        """A gateway answers with an error for a Service without pods: nobody is sent there, however late anybody is."""
        for service, weight in self.config.items():
            installing = self.status.stable is None
            met = self.met(service) or not weight or installing or self.disturbed
            assert met, f"{weight}% of the requests meet nobody at {service}"
