"""The harness itself: what every other cluster test takes for granted."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import harness
from tests.cluster.harness import control, errors, paths, waiting
from tests.cluster.harness.apiserver import ApiServer


@pytest.fixture
def namespace(cluster: harness.Cluster) -> Iterator[str]:
    name = f"harness-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    # Pods are refused until the controller manager has made it.
    account = ("get", "serviceaccount", "default", "-n", name, "--ignore-not-found", "-o", "name")
    waiting.until(lambda: bool(cluster.kubectl(*account)), what="default service account", seconds=60)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _pod(name: str, *, command: list[str], port: int) -> dict[str, Any]:
    """The operator's image, since it has Python, as a pod that Pod Security `restricted` would take."""
    locked = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "main",
        "image": "seatrial.dev/operator:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": locked,
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
    metadata = {"name": name, "labels": {"app": name}, "annotations": annotations}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


_EXPOSER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/plain; version=0.0.4"); self.end_headers()
        self.wfile.write(b"harness_answer 42\\n")
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


def _value(cluster: harness.Cluster, query: str) -> float | None:
    url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=30) as response:
        result = json.load(response)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def test_an_api_server_without_a_node_takes_and_lists_objects(apiserver: ApiServer) -> None:
    name = f"harness-{uuid.uuid4().hex[:8]}"
    apiserver.kubectl("create", "namespace", name)
    assert f"namespace/{name}" in apiserver.kubectl("get", "namespaces", "-o", "name").split()


def test_an_api_server_without_a_node_can_be_taken_away_and_brought_back(apiserver: ApiServer) -> None:
    apiserver.server.stop()
    with pytest.raises(errors.CommandFailed):
        apiserver.kubectl("get", "namespaces", "--request-timeout=2s")
    apiserver.server.start()
    assert "namespace/default" in apiserver.kubectl("get", "namespaces", "-o", "name")


def test_a_pod_serves_resolves_names_and_is_scraped(cluster: harness.Cluster, namespace: str) -> None:
    cluster.load_images("operator")
    pod = _pod("web", command=["python3", "-c", _EXPOSER], port=8000)
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(pod))
    cluster.kubectl("expose", "pod", "web", "-n", namespace, "--port=80", "--target-port=8000")
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/web", "--timeout=110s")

    fetch = f"import urllib.request; print(urllib.request.urlopen('http://web.{namespace}.svc').read().decode())"
    asking = ("exec", "-n", namespace, "web", "--", "python3", "-c", fetch)
    # A pod is Ready before it is an endpoint, and the node's proxy and DNS hear of both a moment later.
    waiting.until(
        lambda: "harness_answer 42" in cluster.kubectl(*asking, check=False), what="an answer by its name", seconds=60
    )

    query = f'harness_answer{{namespace="{namespace}", pod="web"}}'
    waiting.until(lambda: _value(cluster, query) == 42, what="the pod's metric in Prometheus", seconds=60)


def test_prometheus_can_be_taken_away_and_brought_back(cluster: harness.Cluster) -> None:
    cluster.prometheus.stop()
    assert not waiting.answers(f"{cluster.prometheus_url}/-/ready")
    cluster.prometheus.start()
    waiting.until(lambda: waiting.answers(f"{cluster.prometheus_url}/-/ready"), what="Prometheus", seconds=60)


def test_helm_and_kubectl_use_the_clusters_own_kubeconfig(
    cluster: harness.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert "v1.34" in cluster.kubectl("version")
    assert cluster.helm("list", "--all-namespaces", "--output", "json").strip().startswith("[")


def test_a_command_in_the_nodes_network_reaches_a_service(cluster: harness.Cluster) -> None:
    answer = cluster.node_exec("curl", "-sk", "https://198.19.0.1/version")
    assert json.loads(answer)["minor"] == "34"


def test_an_unknown_program_is_refused_by_name(apiserver: ApiServer) -> None:
    path = apiserver.kubeconfig.parents[1] / "control"
    with pytest.raises(errors.HarnessError, match="no program 'kubelet'"):
        control.Switch(path, "kubelet").freeze()


def test_a_killed_test_run_leaves_no_api_server_behind() -> None:
    code = (
        "import sys; from tests.cluster.harness import apiserver\n"
        "with apiserver.running() as api: print(api.url, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=paths.REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        port = urllib.parse.urlsplit(run.stdout.readline().strip()).port
        assert port is not None
        run.kill()
    waiting.until(lambda: not _listens(port), what="the API server's port closed", seconds=60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
