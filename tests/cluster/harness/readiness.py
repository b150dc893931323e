"""Waits until the node can be used, part by part, saying how long each took. A part that is late shows the ends of
the logs.
"""

from __future__ import annotations

import functools
import json

from tests.cluster.harness import (
    control,
    control_plane,
    dns,
    network,
    node_programs,
    paths,
    pki,
    progress,
    shell,
    supervisor,
    waiting,
)
from tests.cluster.harness.logs import tails

PROMETHEUS = f"http://{network.NODE}:{node_programs.PROMETHEUS_PORT}"
_ADDONS = paths.HARNESS / "addons.yaml"


def start_all(plane: control_plane.ControlPlane, *, say: progress.Say, seconds: float) -> None:
    """From the running supervisor to a usable cluster. On a running cluster it brings back what a test stopped or
    froze.
    """
    until = functools.partial(waiting.until, seconds=seconds, explain=lambda: tails(plane.state / "log"))
    with progress.step(say, "API server"):
        _wake(plane, only=("containerd", "etcd", "kube-apiserver"))
        until(functools.partial(api_ready, plane), what="API server")
    with progress.step(say, "node Ready"):
        _wake(plane)
        kubectl(plane, "apply", "--server-side", "-f", str(_ADDONS))
        until(functools.partial(_node_ready, plane), what="node Ready")
    with progress.step(say, "cluster DNS, Prometheus, default service account"):
        until(dns_ready, what="cluster DNS")
        until(prometheus_ready, what="Prometheus")
        until(functools.partial(_account_exists, plane), what="default service account")


def kubectl(plane: control_plane.ControlPlane, *args: str) -> str:
    kubeconfig = str(plane.kubeconfig("admin"))
    home = {"KUBECACHEDIR": str(plane.state / "home" / "kubectl"), "KUBERC": "off"}
    return shell.run([plane.kube, "kubectl", "--kubeconfig", kubeconfig, *args], timeout=60, env=home)


def api_ready(plane: control_plane.ControlPlane) -> bool:
    return waiting.answers(f"{plane.url}/readyz", tls=pki.client_context(plane.pki, "admin"))


def dns_ready() -> bool:
    return dns.resolves("kubernetes.default.svc.cluster.local", server=network.NODE)


def prometheus_ready() -> bool:
    return waiting.answers(f"{PROMETHEUS}/-/ready")


def _wake(plane: control_plane.ControlPlane, *, only: tuple[str, ...] = ()) -> None:
    socket = node_programs.control_socket(plane.state)
    for name in only or control.status(socket):
        control.ask(socket, supervisor.Request(verb="start", program=name))
        control.Switch(socket, name).thaw()


def _node_ready(plane: control_plane.ControlPlane) -> bool:
    answer = kubectl(plane, "get", "node", node_programs.NODE_NAME, "--ignore-not-found", "-o", "json")
    conditions = json.loads(answer)["status"].get("conditions", []) if answer else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _account_exists(plane: control_plane.ControlPlane) -> bool:
    return bool(kubectl(plane, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"))
