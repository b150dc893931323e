"""A real HorizontalPodAutoscaler over /scale: the controller manager's own, reading a metrics API on loopback.

Pods are objects without a node here; what they use is what the metrics API says. So what is tested is what an
autoscaler and a ModelDeployment say to each other, through the API server.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cluster.harness import apiserver, pki, waiting
from tests.cluster.harness import metrics as metrics_api
from tests.contract import established
from tests.unit.rollout import world as worlds

from seatrial.api import crd, schema, status, values
from seatrial.rollout import names

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

MEBI = 2**20
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class MetricsApi:
    """What pods use, in bytes of memory, by the label of their revision; and how often it was asked for what."""

    def __init__(self) -> None:
        self.usage: dict[str, int] = {}
        self.pods: dict[str, dict[str, str]] = {}
        self.asked: set[str] = set()

    def answer(self, path: str) -> dict[str, Any]:
        url = urllib.parse.urlsplit(path)
        if not url.path.endswith("/pods"):
            pods = {"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["list"]}
            group = "metrics.k8s.io/v1beta1"
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [pods]}
        (selector,) = urllib.parse.parse_qs(url.query).get("labelSelector", [""])
        self.asked.add(selector)
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        found = {name: labels for name, labels in self.pods.items() if wanted.items() <= labels.items()}
        return {
            "kind": "PodMetricsList",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "items": [
                {
                    "metadata": {"name": name, "namespace": "shop", "labels": labels},
                    "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "window": "10s",
                    "containers": [{"name": "server", "usage": {"memory": str(self.usage[labels[names.REVISION]])}}],
                }
                for name, labels in found.items()
            ],
        }


@contextlib.contextmanager
def serving(api: MetricsApi, folder: Path) -> Iterator[int]:
    """Over TLS on loopback, with a certificate that nobody checks."""
    issued = pki.Authority(now=datetime.now(UTC)).issue("localhost", names=("localhost",))
    issued.write(folder, "metrics")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(api.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests are quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "metrics.crt", folder / "metrics.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def metrics() -> MetricsApi:
    return MetricsApi()


@pytest.fixture(scope="module")
def api(metrics: MetricsApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apiserver.ApiServer]:
    """An API server that has the metrics API, and ModelDeployments in `shop`."""
    with apiserver.running() as server, serving(metrics, tmp_path_factory.mktemp("metrics")) as port:
        server.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(crd.document()))
        established.until_established(server)
        server.namespace("shop")
        for one in metrics_api.objects(port):
            server.kubectl("apply", "-f", "-", input=json.dumps(one))
        metrics_api.until_available(server.kubectl)
        yield server


def in_canary() -> worlds.World:
    """Two pods of version 1 serve; version 2 has its first step."""
    world = worlds.World(worlds.spec("1"))
    world.run(lambda world: world.status.phase is status.Phase.STABLE)
    world.spec = worlds.spec("2")
    world.run(lambda world: world.status.phase is status.Phase.CANARY)
    return world


def put(api: apiserver.ApiServer, metrics: MetricsApi, world: worlds.World) -> None:
    """The object with the status that the operator would write, and its pods, Running and Ready."""
    spec = schema.sparse(world.spec)
    body = {"apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "churn", "namespace": "shop"}, "spec": spec}  # fmt: skip
    api.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))
    written = msgspec.to_builtins(world.status, enc_hook=values.encode_hook)
    api.kubectl("replace", "--subresource=status", "-f", "-", input=_with_status(api, written))
    for name, pod in world.pods.items():
        labels = {**names.selector("churn", pod.revision), names.REVISION: pod.revision}
        metrics.pods[name] = labels
        container = {"name": "server", "image": "serving:1", "resources": {"requests": {"memory": "128Mi"}}}
        api.kubectl("create", "-f", "-", input=json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
             "spec": {"containers": [container]}}))  # fmt: skip
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": NOW.isoformat()}
        ready = {"phase": "Running", "startTime": NOW.isoformat(), "conditions": [condition]}
        api.kubectl("patch", "pod", name, "-n", "shop", "--subresource=status", "-p", json.dumps({"status": ready}))


def _with_status(api: apiserver.ApiServer, written: Any) -> str:
    found = json.loads(api.kubectl("get", "mdeploy", "churn", "-n", "shop", "-o", "json"))
    return json.dumps({**found, "status": written})


def replicas(api: apiserver.ApiServer) -> int:
    return int(api.kubectl("get", "mdeploy", "churn", "-n", "shop", "-o", "jsonpath={.spec.replicas}"))


def test_an_autoscaler_follows_what_stable_uses_through_a_canary(api: apiserver.ApiServer, metrics: MetricsApi) -> None:
    world = in_canary()
    stable, candidate = world.status.stable, world.status.candidate
    assert stable is not None
    assert candidate is not None
    put(api, metrics, world)
    metrics.usage = {stable.revision: 100 * MEBI, candidate.revision: 8000 * MEBI}
    target = {"type": "AverageValue", "averageValue": "100Mi"}
    api.kubectl("apply", "-f", "-", input=json.dumps(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
         "metadata": {"name": "churn", "namespace": "shop"},
         "spec": {"minReplicas": 1, "maxReplicas": 12,
                  "scaleTargetRef": {"apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "name": "churn"},
                  "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}]}}))  # fmt: skip

    def active() -> str:
        path = 'jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}'
        return api.kubectl("get", "hpa", "churn", "-n", "shop", "-o", path)

    waiting.until(lambda: active() == "True", what="the autoscaler can read pods and scale", seconds=180,
                  explain=lambda: api.kubectl("describe", "hpa", "churn", "-n", "shop"))  # fmt: skip
    assert replicas(api) == world.spec.replicas, "the candidate's 8 GB are not what stable uses"
    metrics.usage[stable.revision] = 250 * MEBI
    waiting.until(lambda: replicas(api) == 5, what="2 pods at 250 % become 5", seconds=180,
                  explain=lambda: api.kubectl("describe", "hpa", "churn", "-n", "shop"))  # fmt: skip
    (selector,) = metrics.asked
    assert f"{names.REVISION}={stable.revision}" in selector

    world.spec = msgspec.structs.replace(world.spec, replicas=replicas(api))
    world.run(lambda world: world.status.phase is status.Phase.STABLE)
    assert world.serving == "2", "scaled in the middle of it, the rollout went on to its end"
