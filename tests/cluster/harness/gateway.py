"""A real gateway for tests: Traefik with the Gateway API, as a program of this machine that belongs to one test.

    gateway.install(api.kubectl)                                  # the CRDs, and a GatewayClass
    with gateway.running(api.kubeconfig) as front:                # on loopback, ended with the block
        api.kubectl("apply", "-f", "-", input=json.dumps(front.gateway(namespace="shop")))
        front.url

In front of a node it runs in the node's network (`inside`), where pods are one hop away. The CRDs are the standard
channel's, from the Gateway API's own Go module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.harness import beside, binaries, ports, progress, waiting

GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.1"
_GROUP = "gateway.networking.k8s.io"
API_VERSION = f"{_GROUP}/v1"
CLASS = "traefik"
CRDS = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants", "backendtlspolicies")
_CONTROLLER = "traefik.io/gateway-controller"


@dataclasses.dataclass(frozen=True)
class Front:
    """A running gateway's one entrance."""

    address: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def gateway(self, *, namespace: str, name: str = "front", routes_from: str = "Same") -> dict[str, Any]:
        """A Gateway with a listener at this entrance; `routes_from`: namespaces whose routes it takes."""
        listener = {
            "name": "http",
            "protocol": "HTTP",
            "port": self.port,
            "allowedRoutes": {"namespaces": {"from": routes_from}},
        }
        return {
            "apiVersion": API_VERSION,
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
        }


def crds() -> Path:
    """The folder of the standard channel's CRDs."""
    return binaries.module(GATEWAY_API) / "config" / "crd" / "standard"


def install(kubectl: Callable[..., str]) -> None:
    """The CRDs, and the class that the gateway serves. Idempotent."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crds()))
    waiting.until(functools.partial(_served, kubectl), what="the Gateway API's kinds served", seconds=110)
    made = {"apiVersion": API_VERSION, "kind": "GatewayClass", "metadata": {"name": CLASS}}
    kubectl("apply", "-f", "-", input=json.dumps({**made, "spec": {"controllerName": _CONTROLLER}}))


def _served(kubectl: Callable[..., str]) -> bool:
    """Not `kubectl wait`: that fails on a CRD so young that it has no conditions yet, and what is established is found
    by its kind a moment later.
    """
    path = 'jsonpath={.items[*].status.conditions[?(@.type=="Established")].status}'
    established = kubectl("get", "crd", *(f"{one}.{_GROUP}" for one in CRDS), "-o", path, check=False).split()
    lines = kubectl("api-resources", f"--api-group={_GROUP}", "--no-headers", check=False).splitlines()
    return established == ["True"] * len(CRDS) and {line.split()[0] for line in lines} >= set(CRDS)


def uninstall(kubectl: Callable[..., str]) -> None:
    """Takes the CRDs away, and with them every gateway and route."""
    kubectl("delete", "-f", str(crds()), "--ignore-not-found", "--timeout=110s")


@contextlib.contextmanager
def running(
    kubeconfig: Path,
    *,
    inside: Sequence[str] = (),
    address: str = "127.0.0.1",
    say: progress.Say = progress.silent,
) -> Iterator[Front]:
    """Starts it, and ends it with the block.

    Args:
        inside: the command that enters the network it shall run in.
        address: where it listens there.
    """
    binaries.ensure(binaries.GATEWAY, say=say)
    port, ping = ports.free(2)
    flags = {
        "global.checkNewVersion": "false",
        "global.sendAnonymousUsage": "false",
        "log.level": "INFO",
        "ping": "true",
        "ping.entryPoint": "ping",
        "entryPoints.ping.address": f"{address}:{ping}",
        "entryPoints.web.address": f"{address}:{port}",
        "providers.kubernetesGateway": "true",
        "providers.kubernetesGateway.statusAddress.ip": address,
        # What it leaves at 2 s otherwise: until a change counts that comes right after another one.
        "providers.providersThrottleDuration": "100ms",
    }
    command = [*inside, str(binaries.GATEWAY.path()), *(f"--{flag}={value}" for flag, value in flags.items())]
    ready = functools.partial(waiting.answers, f"http://{address}:{ping}/ping")
    with beside.running(command, what="the gateway", ready=ready, environment={"KUBECONFIG": str(kubeconfig)}):
        yield Front(address=address, port=port)
