"""The operator process against a real API server, with a reconcile that records keys: watching, leading, leaving."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.harness import apiserver, paths, ports, waiting

pytestmark = pytest.mark.apiserver

OWNER = "seatrial.dev/modeldeployment"
LABELS = {"app.kubernetes.io/managed-by": "seatrial", OWNER: "churn"}


class Replica:
    """A running operator process and what it printed."""

    def __init__(self, kubeconfig: Path, name: str, **environment: str) -> None:
        self.probe_port, self.metrics_port = ports.free_port(), ports.free_port()
        listening = {"PROBE_PORT": str(self.probe_port), "METRICS_PORT": str(self.metrics_port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.recording_operator"],
            cwd=paths.REPO,
            env={**os.environ, "KUBECONFIG": str(kubeconfig), "NAME": name, **listening, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.keys: list[str] = []
        self.logs: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.keys)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.logs)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    def until_looked_at(self, key: str, *, after: int = 0) -> None:
        waiting.until(lambda: key in self.keys[after:], what=f"a look at {key}", seconds=60, explain=self.explain)

    def until_leading(self) -> None:
        waiting.until(
            lambda: any('"leading"' in line for line in self.logs), what="leading", seconds=60, explain=self.explain
        )

    def explain(self) -> str:
        return "\n".join([*self.keys, *self.logs])

    def answers(self, path: str) -> bool:
        return waiting.answers(f"http://127.0.0.1:{self.probe_port}{path}")

    def until_healthy(self) -> None:
        waiting.until(lambda: self.answers("/healthz"), what="healthy", seconds=60, explain=self.explain)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as response:
            return str(response.read().decode())

    def resident_mib(self) -> float:
        [line] = [line for line in self.metrics().splitlines() if line.startswith("process_resident_memory_bytes")]
        return float(line.split()[1]) / 2**20

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing until the block ends."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self, number: int = signal.SIGTERM, *, seconds: float = 60) -> int:
        self.process.send_signal(number)
        return self.wait(seconds=seconds)

    def wait(self, *, seconds: float = 60) -> int:
        try:
            status = self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()
            for reader in self._readers:
                reader.join()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        return status


@contextlib.contextmanager
def replica(
    api: apiserver.ApiServer, name: str, *, kubeconfig: Path | None = None, **environment: str
) -> Iterator[Replica]:
    running = Replica(kubeconfig or api.kubeconfig, name, **environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


@pytest.fixture(autouse=True)
def clean(shop: apiserver.ApiServer) -> Iterator[None]:
    yield
    shop.kubectl("delete", "lease", "seatrial-operator", "-n", "shop", "--ignore-not-found")
    shop.kubectl("delete", "modeldeployments", "-A", "--all")
    shop.kubectl("delete", "services,configmaps,pods", "-n", "shop", "-l", "app.kubernetes.io/managed-by=seatrial")


def apply(api: apiserver.ApiServer, *objects: dict[str, Any]) -> None:
    api.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(one) for one in objects))


def model_deployment(name: str = "churn", namespace: str = "shop") -> dict[str, Any]:
    model = {"uri": "https://models.example.com/churn/7/model.onnx", "sha256": "9f86d081" * 8}
    return {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"model": model},
    }


def child(kind: str, **fields: Any) -> dict[str, Any]:
    version, *_ = {"Job": ["batch/v1"], "Deployment": ["apps/v1"], "PodDisruptionBudget": ["policy/v1"]}.get(
        kind, ["v1"]
    )
    metadata = {"namespace": "shop", "name": "churn-child", "labels": LABELS}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


CONTAINER = {"name": "server", "image": "serving:test"}
POD = {"containers": [CONTAINER], "restartPolicy": "Never"}
SELECTED = {
    "selector": {"matchLabels": LABELS},
    "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
}
CHILDREN = [
    child("ConfigMap", data={}),
    child("Service", spec={"ports": [{"port": 80}]}),
    child("Pod", spec=POD),
    child("Job", spec={"template": {"spec": POD}}),
    child("Deployment", spec={"replicas": 0, **SELECTED}),
    child("PodDisruptionBudget", spec={"minAvailable": 1, "selector": {"matchLabels": LABELS}}),
    {**child("EndpointSlice", addressType="IPv4", endpoints=[]), "apiVersion": "discovery.k8s.io/v1"},
]


def test_what_exists_what_appears_and_every_kind_of_child_lead_to_a_look(shop: apiserver.ApiServer) -> None:
    apply(shop, model_deployment("churn"))
    with replica(shop, "a") as running:
        running.until_looked_at("shop/churn")
        apply(shop, model_deployment("fraud"))
        running.until_looked_at("shop/fraud")
        foreign = child("ConfigMap", data={})
        foreign["metadata"] = {"namespace": "shop", "name": "other", "labels": {OWNER: "other"}}
        apply(shop, foreign)
        for one in CHILDREN:
            # The label leads to its owner even when no such object exists; one owner per kind tells them apart.
            owner = one["kind"].lower()
            one["metadata"] = {**one["metadata"], "labels": {**LABELS, OWNER: owner}}
            apply(shop, one)
            running.until_looked_at(f"shop/{owner}")
            before = len(running.keys)
            shop.kubectl("delete", one["kind"], "churn-child", "-n", "shop", "--wait=false", "--grace-period=0")
            running.until_looked_at(f"shop/{owner}", after=before)
        assert "shop/other" not in running.keys, "not managed by us"
        assert running.end() == 0
        assert not [line for line in running.logs if '"ERROR"' in line or '"WARNING"' in line], running.explain()


def test_a_template_that_models_may_use_wakes_who_names_it(shop: apiserver.ApiServer) -> None:
    wish = model_deployment()
    wish["spec"]["retraining"] = {"cronJob": "train", "adopt": "External"}
    labels = {"seatrial.dev/for-models": "true"}
    template = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"namespace": "shop", "name": "train", "labels": labels},
        "spec": {"schedule": "@yearly", "jobTemplate": {"spec": {"template": {"spec": POD}}}},
    }
    apply(shop, wish)
    with replica(shop, "a") as running:
        running.until_looked_at("shop/churn")
        for suspend in (False, True):
            before = len(running.keys)
            apply(shop, {**template, "spec": {**template["spec"], "suspend": suspend}})
            running.until_looked_at("shop/churn", after=before)
        before = len(running.keys)
        shop.kubectl("delete", "cronjob", "train", "-n", "shop")
        running.until_looked_at("shop/churn", after=before)
        assert running.end() == 0


def test_what_a_rollout_has_promoted_is_watched_and_what_that_finds_leads_to_another_look(
    shop: apiserver.ApiServer,
) -> None:
    """Both are the operator's own writes, of which its watch tells nobody."""
    with replica(shop, "a", LOOK_SECONDS="3", PROMOTES="r1") as running:
        running.until_leading()
        apply(shop, model_deployment())
        running.until_looked_at("shop/churn")
        path = "jsonpath={.status.conditions[?(@.type=='Drifted')].reason}"
        waiting.until(
            lambda: shop.kubectl("get", "modeldeployment", "churn", "-n", "shop", "-o", path) == "NoReference",
            what="a look at the traffic of what was promoted",
            seconds=60,
            explain=running.explain,
        )
        running.until_looked_at("shop/churn", after=running.keys.index("shop/churn") + 1)


def test_the_object_is_never_written_and_can_be_deleted_at_once(shop: apiserver.ApiServer) -> None:
    apply(shop, model_deployment())
    before = json.loads(shop.kubectl("get", "modeldeployment", "churn", "-n", "shop", "-o", "json"))
    with replica(shop, "a") as running:
        running.until_looked_at("shop/churn")
        seen = len(running.keys)
        shop.kubectl("annotate", "modeldeployment", "churn", "-n", "shop", "seatrial.dev/retry=1")
        running.until_looked_at("shop/churn", after=seen)
        after = json.loads(shop.kubectl("get", "modeldeployment", "churn", "-n", "shop", "-o", "json"))
        assert "finalizers" not in after["metadata"]
        assert set(after["metadata"]["annotations"]) - set(before["metadata"]["annotations"]) == {"seatrial.dev/retry"}
        seen = len(running.keys)
        shop.kubectl("delete", "modeldeployment", "churn", "-n", "shop", "--timeout=30s")
        running.until_looked_at("shop/churn", after=seen)


def test_only_the_chosen_namespaces_are_served(shop: apiserver.ApiServer) -> None:
    apply(shop, model_deployment("churn"), model_deployment("elsewhere", namespace="default"))
    with replica(shop, "a", NAMESPACES="shop") as running:
        running.until_looked_at("shop/churn")
        apply(shop, model_deployment("fraud"))
        running.until_looked_at("shop/fraud")
        assert "default/elsewhere" not in running.keys


def test_sigterm_finishes_the_running_look_and_hands_over(shop: apiserver.ApiServer) -> None:
    apply(shop, model_deployment())
    with replica(shop, "a", LOOK_SECONDS="1") as first:
        first.until_looked_at("shop/churn")
        with replica(shop, "b") as second:
            waiting.until(lambda: second.answers("/readyz"), what="standby ready", seconds=60, explain=second.explain)
            assert "seatrial_leader 1.0" in first.metrics()
            assert "seatrial_leader 0.0" in second.metrics()
            print(f"resident: leading {first.resident_mib():.0f} MiB, standby {second.resident_mib():.0f} MiB")
            assert second.keys == [], "a standby doesn't act"
            with second.frozen():
                assert first.end() == 0
                assert first.keys.count("shop/churn") == first.keys.count("shop/churn finished")
                path = "jsonpath={.spec.holderIdentity}"
                holder = shop.kubectl("get", "lease", "seatrial-operator", "-n", "shop", "-o", path)
                assert holder == "", "nobody has to wait until the lease has run out"
            second.until_looked_at("shop/churn")
            second.until_healthy()
            assert second.end() == 0


def test_a_standby_ends_quickly(shop: apiserver.ApiServer) -> None:
    with replica(shop, "a") as first:
        first.until_leading()
        with replica(shop, "b") as second:
            second.until_healthy()
            assert second.end() == 0, "the first renews the lease: whoever waits for it waits for ever"


def test_a_leader_that_loses_its_lease_ends_with_an_error(shop: apiserver.ApiServer) -> None:
    with replica(shop, "a") as running:
        running.until_leading()
        patch = {"spec": {"holderIdentity": "somebody"}}
        shop.kubectl("patch", "lease", "seatrial-operator", "-n", "shop", "--type=merge", "-p", json.dumps(patch))
        assert running.wait() == 1
        assert any("LeadershipLost" in line for line in running.logs)


def test_an_api_server_that_is_away_ends_the_leader_and_is_waited_for_by_the_next(shop: apiserver.ApiServer) -> None:
    apply(shop, model_deployment())
    with replica(shop, "a") as leader:
        leader.until_looked_at("shop/churn")
        shop.server.stop()
        try:
            assert leader.wait() == 1
            with replica(shop, "a") as restarted:
                waiting.until(
                    lambda: any("lease not reached" in line for line in restarted.logs),
                    what="an attempt",
                    seconds=60,
                    explain=restarted.explain,
                )
                restarted.until_healthy()  # restarting it again would not help
                shop.server.start()
                restarted.until_looked_at("shop/churn")
        finally:
            shop.server.start()


def test_without_the_kind_the_operator_says_what_is_missing(shop: apiserver.ApiServer) -> None:
    with apiserver.running() as bare:
        bare.namespace("shop")
        with replica(bare, "a") as running:
            assert running.wait() == 1
            assert any("modeldeployments" in line for line in running.logs), running.explain()


def test_two_operators_each_serve_their_own_namespaces_with_a_lease_each(shop: apiserver.ApiServer) -> None:
    """What carries a cluster too large for one operator: groups of namespaces."""
    apply(shop, model_deployment("churn"), model_deployment("elsewhere", namespace="default"))
    with (
        replica(shop, "a", NAMESPACES="shop", LEASE="one") as one,
        replica(shop, "a", NAMESPACES="default", LEASE="two") as other,
    ):
        one.until_looked_at("shop/churn")
        other.until_looked_at("default/elsewhere")
        assert (set(one.keys), set(other.keys)) == ({"shop/churn"}, {"default/elsewhere"})
    shop.kubectl("delete", "lease", "one", "two", "-n", "shop")


def test_a_namespace_that_may_not_be_served_leaves_the_others_alone_and_is_served_once_it_may(
    shop: apiserver.ApiServer, tmp_path: Path
) -> None:
    """As when a namespace was deleted, and the Role with it."""
    shop.namespace("late")
    user = service_account(shop, tmp_path, namespace="shop", name="namespaced")
    allow(shop, "namespaced", namespace="shop", leases=True)
    apply(shop, model_deployment("churn"), model_deployment("fraud", namespace="late"))
    with replica(shop, "a", kubeconfig=user, NAMESPACES="late,shop") as running:
        running.until_looked_at("shop/churn")
        assert "late/fraud" not in running.keys
        allow(shop, "namespaced", namespace="late")
        running.until_looked_at("late/fraud")
        seen = len(running.keys)
        apply(shop, model_deployment("new"))
        running.until_looked_at("shop/new", after=seen)
        assert running.end() == 0
    shop.kubectl("delete", "namespace", "late", "--wait=false")


WATCHED = {
    "seatrial.dev": ["modeldeployments"],
    "apps": ["controllerrevisions", "deployments"],
    "batch": ["jobs"],
    "": ["pods", "services", "configmaps"],
    "discovery.k8s.io": ["endpointslices"],
    "policy": ["poddisruptionbudgets"],
}


def test_a_service_accounts_token_and_the_right_to_watch_our_kinds_are_enough(
    shop: apiserver.ApiServer, tmp_path: Path
) -> None:
    """No right on namespaces or CRDs: the watch needs neither."""
    user = service_account(shop, tmp_path, namespace="shop", name="watcher")
    allow(shop, "watcher", namespace=None)
    allow(shop, "watcher", namespace="shop", leases=True)
    apply(shop, model_deployment())
    with replica(shop, "a", kubeconfig=user) as running:
        running.until_looked_at("shop/churn")
        labelled = child("ConfigMap", data={})
        labelled["metadata"]["labels"] = {**LABELS, OWNER: "token"}
        apply(shop, labelled)
        running.until_looked_at("shop/token")
        assert running.end() == 0
        assert not [line for line in running.logs if '"ERROR"' in line or '"WARNING"' in line], running.explain()


RBAC = "rbac.authorization.k8s.io"


def service_account(api: apiserver.ApiServer, folder: Path, *, namespace: str, name: str) -> Path:
    """A kubeconfig with the token of a new service account."""
    metadata = {"namespace": namespace, "name": name}
    apply(api, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    kubeconfig = json.loads(api.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    kubeconfig["users"][0]["user"] = {"token": api.kubectl("create", "token", name, "-n", namespace).strip()}
    file = folder / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))
    return file


def allow(api: apiserver.ApiServer, name: str, *, namespace: str | None, leases: bool = False) -> None:
    """The service account of `shop` may watch our kinds, in one namespace or in all."""
    verbs = ["get", "list", "watch"]
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": verbs} for group, kinds in WATCHED.items()]
    if leases:
        rules.append(
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
        )
    kind = "ClusterRole" if namespace is None else "Role"
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    role = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}
    reference = {"apiGroup": RBAC, "kind": kind, "name": name}
    subjects = [{"kind": "ServiceAccount", "namespace": "shop", "name": name}]
    binding = {**role, "kind": f"{kind}Binding", "roleRef": reference, "subjects": subjects}
    apply(api, {**role, "rules": rules}, binding)
    question = ("auth", "can-i", "watch", "modeldeployments.seatrial.dev", f"--as=system:serviceaccount:shop:{name}")
    where = ("-A",) if namespace is None else ("-n", namespace)
    # Rights count a moment after they have been stored, and an operator without any ends.
    waiting.until(
        lambda: api.kubectl(*question, *where, check=False).strip() == "yes", what=f"the rights of {name}", seconds=60
    )
