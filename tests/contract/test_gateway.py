"""Provider GatewayAPI against a real API server with the Gateway API's own CRDs, and against a real gateway.

There is no node: pods and endpoints are made by hand, and nobody is asked through the gateway here (`tests/cluster`).
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.bench import crowd
from tests.cluster.harness import apiserver, gateway, paths, waiting
from tests.contract import established
from tests.contract.eventually import eventually
from tests.contract.test_reconcile_apiserver import MODEL, OPERATOR, Logged, Scene
from tests.contract.test_wiring import Replica, replica

from seatrial.api import crd
from seatrial.cluster import events, kubernetes
from seatrial.control import reading, reconcile, telemetry
from seatrial.rollout import facts

pytestmark = pytest.mark.apiserver

FRONT = {"parentRefs": [{"name": "front"}]}


@contextlib.contextmanager
def server() -> Iterator[apiserver.ApiServer]:
    """An API server of our own: CRDs of others come and go here."""
    with apiserver.running() as api:
        api.kubectl("apply", "-f", str(paths.REPO / "crds" / f"{crd.NAME}.yaml"))
        established.until_established(api)
        api.namespace("shop")
        yield api


@pytest.fixture
def bare() -> Iterator[apiserver.ApiServer]:
    """Without the Gateway API."""
    with server() as api:
        yield api


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    """With it."""
    with server() as found:
        gateway.install(found.kubectl)
        yield found


class Roads(Scene):
    """A ModelDeployment whose traffic is a gateway's."""

    def want(self, name: str = "churn", **traffic: Any) -> None:
        rollout = {"traffic": traffic} if traffic else {}
        wish = {
            "apiVersion": "seatrial.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"model": MODEL, "rollout": rollout},
        }
        self.api.kubectl("apply", "-f", "-", input=json.dumps(wish))

    def condition(self, kind: str) -> tuple[str, str, str]:
        said = next(one for one in self.status()["conditions"] if one["type"] == kind)
        return said["status"], said["reason"], said["message"]

    def route(self) -> dict[str, Any]:
        [found] = self.listed("httproutes")
        return found


@pytest.fixture
async def roads(api: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Roads]:
    async with namespace_in(api, monkeypatch) as made:
        yield made


@contextlib.asynccontextmanager
async def namespace_in(api: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Roads]:
    """A namespace, and an operator that looks when told to."""
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    namespace = f"roads-{secrets.token_hex(4)}"
    api.namespace(namespace)
    async with kubernetes.connected(timeout=30) as cluster:
        reconciler = reconcile.Reconciler(
            cluster=Logged(cluster._rest),
            looks=crowd.Silent(),
            reports=crowd.Silent(),
            events=events.Events(cluster, instance="operator-0", failed=lambda: None),
            telemetry=telemetry.Telemetry(),
            operator=OPERATOR,
        )
        yield Roads(api=api, cluster=cluster, reconciler=reconciler, namespace=namespace)
    api.kubectl("delete", "modeldeployments", "-n", namespace, "--all")
    api.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_without_the_crds_the_object_says_what_to_install_and_goes_on_once_it_is(
    bare: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with namespace_in(bare, monkeypatch) as roads:
        roads.want()
        await roads.settle()
        assert roads.status()["phase"] == "Trial", "whoever has another provider does not notice"
        roads.want(provider="GatewayAPI", gateway=FRONT)
        await roads.settle()
        status, reason, message = roads.condition("Stalled")
        assert (status, reason) == ("True", "GatewayAPIMissing")
        assert "no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API's CRDs" in message
        assert {"Service", "Job", "ControllerRevision"} <= roads.kinds(), "the rest goes on"
        await roads.assert_at_rest()
        gateway.install(bare.kubectl)

        async def goes_on() -> bool:
            await roads.settle()
            return roads.condition("Stalled")[0] == "False"

        await eventually(goes_on, what="the rollout with a route")
        assert roads.route()["spec"]["parentRefs"][0]["name"] == "front"


async def test_the_route_is_taken_as_rendered_and_written_once(roads: Roads) -> None:
    roads.want(provider="GatewayAPI", gateway={**FRONT, "hostnames": ["churn.example"]})
    await roads.settle()
    route = roads.route()
    assert route["spec"]["hostnames"] == ["churn.example"]
    backends = route["spec"]["rules"][0]["backendRefs"]
    assert {one["name"]: one["weight"] for one in backends} == {"churn-stable": 100, "churn-candidate": 0}
    services = {one["metadata"]["name"] for one in roads.listed("services")}
    assert services == {"churn", "churn-stable", "churn-candidate"}
    await roads.settle()
    assert roads.route()["metadata"]["resourceVersion"] == route["metadata"]["resourceVersion"]


async def test_what_somebody_changes_in_the_route_is_put_back_and_what_they_add_to_it_stays(roads: Roads) -> None:
    roads.want(provider="GatewayAPI", gateway=FRONT)
    await roads.settle()
    asked = roads.route()["spec"]
    roads.kubectl("label", "httproute", "churn", "team=fraud")
    for path, value in (
        ("/spec/rules/0/backendRefs/0/weight", 1),
        ("/spec/rules/0/filters", [{"type": "RequestRedirect", "requestRedirect": {"hostname": "else.example"}}]),
        ("/spec/hostnames", ["else.example"]),
        ("/spec/parentRefs", [{"name": "elsewhere"}]),
    ):
        change = json.dumps([{"op": "add", "path": path, "value": value}])
        if "filters" in path:  # a redirect takes no backends
            change = json.dumps([{"op": "remove", "path": "/spec/rules/0/backendRefs"}, *json.loads(change)])
        roads.kubectl("patch", "httproute", "churn", "--type=json", "-p", change)
        assert roads.route()["spec"] != asked
        await roads.settle()
        assert roads.route()["spec"] == asked, path
    assert roads.route()["metadata"]["labels"]["team"] == "fraud"


async def test_a_route_of_somebody_else_is_never_taken_over(roads: Roads) -> None:
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": roads.namespace, "name": "churn"},
        "spec": {"parentRefs": [{"name": "theirs"}]},
    }
    roads.api.kubectl("apply", "-f", "-", input=json.dumps(foreign))
    before = roads.route()
    roads.want(provider="GatewayAPI", gateway=FRONT)
    await roads.settle()
    assert roads.condition("Stalled")[:2] == ("True", "NameTaken")
    assert "HTTPRoute named churn" in roads.condition("Stalled")[2]
    assert roads.route() == before


async def test_another_provider_takes_the_route_away(roads: Roads) -> None:
    roads.want(provider="GatewayAPI", gateway=FRONT)
    await roads.settle()
    roads.want(provider="Service")
    await roads.settle()
    waiting.until(lambda: not roads.listed("httproutes"), what="the route gone", seconds=60)
    await roads.assert_at_rest()


async def test_what_a_real_gateway_says_is_understood(roads: Roads) -> None:
    """It accepts; then it refuses a host that none of its listeners has; a Gateway that isn't there says nothing."""
    with gateway.running(roads.api.kubeconfig) as front:
        made = front.gateway(namespace=roads.namespace)
        made["spec"]["listeners"][0]["hostname"] = "*.example"
        roads.api.kubectl("apply", "-f", "-", input=json.dumps(made))
        roads.want(provider="GatewayAPI", gateway={**FRONT, "hostnames": ["churn.example"]})
        await roads.settle()
        waiting.until(lambda: accepted(roads), what="the gateway's consent", seconds=60)
        await roads.settle()
        # Nobody is Ready yet, so the Services lead to nobody; the gateway has nothing against the route.
        assert "gateway" not in roads.condition("Routed")[2]
        roads.want(provider="GatewayAPI", gateway={**FRONT, "hostnames": ["churn.test"]})
        await roads.settle()
        waiting.until(lambda: answered(roads), what="the gateway's answer", seconds=60)
        await roads.settle()
        words = f"gateway {roads.namespace}/front says Accepted=False, NoMatchingListenerHostname"
        assert roads.condition("Routed")[0] == "False"
        assert roads.condition("Routed")[2].startswith(words)
        roads.want(provider="GatewayAPI", gateway={"parentRefs": [{"name": "nowhere"}]})
        await roads.settle()
        assert "gateway" in roads.condition("Routed")[2]
        assert "nowhere has not answered" in roads.condition("Routed")[2]


def answered(roads: Roads) -> bool:
    """The gateway has spoken of the route as it is."""
    return bool(said(roads))


def accepted(roads: Roads) -> bool:
    """It takes the route, and has found the Services that it leads to: it may have learnt of the route before them."""
    return answered(roads) and all(one.status == "True" for one in said(roads))


def said(roads: Roads) -> list[facts.Said]:
    """What the gateway says of the route; nothing as long as any of it is of an older one."""
    seen = reading.route(roads.route())
    assert seen is not None
    found = [condition for parent in seen.parents for condition in parent.conditions.values()]
    return found if all(one.generation == seen.generation for one in found) else []


@pytest.mark.timeout(600)
def test_routes_are_watched_from_the_crds_installation_on_and_outlive_their_removal(
    bare: apiserver.ApiServer,
) -> None:
    """The same process throughout; nothing else is concerned."""
    with replica(bare, "a") as running:
        running.until_leading()
        for round_ in ("first", "second"):
            gateway.install(bare.kubectl)
            waiting.until(lambda name=round_: sees(running, bare, name), what="a watched route", seconds=120)
            seen = len(running.keys)
            gateway.uninstall(bare.kubectl)
            running.until_looked_at(f"shop/{round_}", after=seen)
            config = {"metadata": {"labels": labels(f"still-{round_}")}}
            bare.kubectl("create", "configmap", f"still-{round_}", "-n", "shop")
            bare.kubectl("patch", "configmap", f"still-{round_}", "-n", "shop", "-p", json.dumps(config))
            running.until_looked_at(f"shop/still-{round_}")
        assert running.end() == 0
        ours = [line for line in running.logs if '"logger": "seatrial' in line]
        assert not [line for line in ours if '"ERROR"' in line or '"WARNING"' in line], running.explain()


def labels(owner: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/modeldeployment": owner}


def sees(running: Replica, api: apiserver.ApiServer, name: str) -> bool:
    """Whether a route that appears now makes the operator look."""
    key, route = f"shop/{name}", f"{name}-{secrets.token_hex(3)}"
    made = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": route, "labels": labels(name)},
        "spec": {"parentRefs": [{"name": "front"}]},
    }
    api.kubectl("apply", "-f", "-", input=json.dumps(made))
    try:
        waiting.until(lambda: key in running.keys, what="a look", seconds=1)
    except Exception:
        return False
    return True
