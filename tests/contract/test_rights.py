"""The operator's rights against a real API server: each one is needed by a call that the operator makes, no other is.

The calls are made with a service account's token by the operator's own client. A right that no call here needs has to
leave the chart; a call that a new feature makes has to be added here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.harness import apiserver, gateway, paths, shell, waiting
from tests.contract import established, operator_process
from tests.contract.eventually import eventually

from seatrial import api as resource
from seatrial.cli import generate
from seatrial.cluster import errors, kinds, kubernetes, rest

pytestmark = pytest.mark.apiserver

NAMESPACE = "shop"
ACCOUNT = "narrow-seatrial"
RELEASE = ("template", "narrow", str(paths.REPO / generate.CHART), "-n", NAMESPACE)
OWN = "crds.install=false,images.registry=seatrial.dev,prometheus.secretNames={prometheus}"
VALUES = ("--set", f"namespaces={{{NAMESPACE}}},{OWN}")
FORBIDDEN = 403
MODEL = {"uri": "https://models.example.com/churn/7.onnx", "sha256": "9f86d081" * 8}

Right = tuple[str, str]
"""(resource, verb)"""


class Operator:
    """Calls of the operator's client, by the right that each needs."""

    def __init__(self, cluster: kubernetes.KubernetesCluster, watcher: rest.Rest) -> None:
        self._cluster = cluster
        self._watcher = watcher

    async def call(self, right: Right) -> None:
        """Raises what the API server answers."""
        plural, verb = right
        special: dict[Right, Callable[[], Awaitable[Any]]] = {
            ("modeldeployments/status", "update"): self._write_status,
            ("pods/log", "get"): lambda: self._cluster.pod_log(NAMESPACE, "nobody", "trial", limit_bytes=1),
            ("events", "create"): lambda: self._cluster.create(_made("Event", "one.event", eventTime=None)),
            ("pods", "patch"): lambda: self._cluster.annotate(
                NAMESPACE, "nobody", uid="0", name="seatrial.dev/relay", text=""
            ),
            # An optional kind that can't be listed is none; the request itself tells.
            ("httproutes", "list"): lambda: self._watcher.call("GET", kinds.KINDS["HTTPRoute"].path(NAMESPACE)),
            ("cronjobs", "list"): lambda: self._watcher.call("GET", kinds.KINDS["CronJob"].path(NAMESPACE)),
            ("secrets", "create"): lambda: self._cluster.create(_made("Secret", f"new-{secrets.token_hex(4)}")),
            ("leases", "create"): lambda: self._cluster.create(_made("Lease", "other")),
            ("leases", "update"): lambda: self._cluster.replace(_versioned(_made("Lease", ACCOUNT))),
        }
        if right in special:
            await special[right]()
            return
        kind = next(name for name, one in kinds.KINDS.items() if one.plural == plural)
        name = {"Lease": ACCOUNT, "Secret": "prometheus"}.get(kind, "nobody")
        ordinary: dict[str, Callable[[], Awaitable[Any]]] = {
            "get": lambda: self._cluster.get(kind, NAMESPACE, name),
            "list": lambda: self._cluster.list(kind, NAMESPACE, {"seatrial.dev/modeldeployment": "churn"}),
            "watch": lambda: self._watch(kind),
            "create": lambda: self._cluster.apply(_new(kind)),
            "patch": lambda: self._cluster.apply(_new(kind)),
            "update": lambda: self._cluster.replace(_versioned(_made(kind, name))),
            "delete": lambda: self._cluster.delete(kind, NAMESPACE, name, uid="0"),
        }
        await ordinary[verb]()

    async def _write_status(self) -> None:
        await self._cluster.write_status(_versioned(_made(resource.KIND, "nobody")))

    async def _watch(self, kind: str) -> None:
        """kopf's request."""
        await self._watcher.call("GET", kinds.KINDS[kind].path(NAMESPACE), query={"watch": "1", "timeoutSeconds": "1"})

    async def refused(self, right: Right) -> str:
        """The API server's words when it forbids the call; nothing when it answers anything else."""
        try:
            await self.call(right)
        except errors.Refused as refusal:
            return str(refusal) if refusal.status == FORBIDDEN else ""
        except errors.ClusterError:
            return ""
        return ""


def _made(kind: str, name: str, **content: Any) -> dict[str, Any]:
    metadata = {"namespace": NAMESPACE, "name": name}
    return {"apiVersion": kinds.KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content}


POD = {"restartPolicy": "Never", "containers": [{"name": "trial", "image": "serving:1"}]}
SELECTED = {"selector": {"matchLabels": {"a": "b"}}}
SERVERS = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": POD["containers"]}}
CONTENT: dict[str, dict[str, Any]] = {
    "ConfigMap": {},
    "ControllerRevision": {"revision": 1, "data": {}},
    "Deployment": {"spec": {"replicas": 0, **SELECTED, "template": SERVERS}},
    "HTTPRoute": {"spec": {"parentRefs": [{"name": "front"}]}},
    "Job": {"spec": {"suspend": True, "template": {"spec": POD}}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 1, **SELECTED}},
    "Service": {"spec": {"ports": [{"port": 80}]}},
}


def _new(kind: str) -> dict[str, Any]:
    """A child that doesn't exist yet: the right to create is asked for only then, and only for one that is valid."""
    return _made(kind, f"new-{secrets.token_hex(4)}", **CONTENT[kind])


def _versioned(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "metadata": {**one["metadata"], "resourceVersion": "1"}}


def roles(api: apiserver.ApiServer) -> list[dict[str, Any]]:
    """Service account, Roles and their bindings as the chart renders them for one namespace."""
    rendered = shell.run([api.kubectl_argv[0], "helm", *RELEASE, *VALUES], env=api.environment)
    wanted = ("ServiceAccount", "Role", "RoleBinding")
    return [one for one in yaml.safe_load_all(rendered) if one and one["kind"] in wanted]


def single(rules: list[dict[str, Any]]) -> list[tuple[Right, dict[str, Any]]]:
    """A rule for each single right."""
    return [
        ((plural, verb), {**rule, "resources": [plural], "verbs": [verb]})
        for rule in rules
        for plural in rule["resources"]
        for verb in rule["verbs"]
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[apiserver.ApiServer]:
    with apiserver.running() as api:
        api.kubectl("apply", "--server-side", "-k", str(paths.REPO / "manifests" / "cluster"))
        established.until_established(api)
        gateway.install(api.kubectl)
        api.namespace(NAMESPACE)
        apply(api, *roles(api))
        yield api


def apply(api: apiserver.ApiServer, *objects: dict[str, Any]) -> None:
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.safe_dump_all(objects))


@pytest.fixture(scope="module")
def kubeconfig(server: apiserver.ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service account's."""
    config = json.loads(server.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    config["users"][0]["user"] = {"token": server.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()}
    file = tmp_path_factory.mktemp("narrow") / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


class Administrator:
    """Changes what a Role gives."""

    def __init__(self, client: rest.Rest) -> None:
        self._client = client

    async def give(self, role: dict[str, Any], rules: list[dict[str, Any]]) -> None:
        meta = role["metadata"]
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{meta['namespace']}/roles/{meta['name']}"
        await self._client.call("PATCH", path, body={"rules": rules}, content_type="application/merge-patch+json")


@pytest.fixture
async def administrator(server: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Administrator]:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    client = rest.Rest(await rest.configuration())
    yield Administrator(client)
    await client.close()


@pytest.fixture
async def operator(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    watcher = rest.Rest(await rest.configuration())
    async with kubernetes.connected(timeout=30) as cluster:
        yield Operator(cluster, watcher)
    await watcher.close()


async def test_each_right_is_needed_and_together_they_are_enough(
    server: apiserver.ApiServer, administrator: Administrator, operator: Operator
) -> None:
    """With all of them no call is forbidden; without one of them its call is."""
    for role in (one for one in roles(server) if one["kind"] == "Role"):
        rights = single(role["rules"])
        assert len({right for right, _ in rights}) == len(rights), "no right is given twice"
        for missing, _ in rights:
            await eventually(lambda right=missing: allowed(operator, right), what=f"{missing} allowed")
            await administrator.give(role, [rule for right, rule in rights if right != missing])
            said = await eventually(lambda right=missing: operator.refused(right), what=f"{missing} refused")
            assert "forbidden" in said
            await administrator.give(role, role["rules"])
            await eventually(lambda right=missing: allowed(operator, right), what=f"{missing} allowed again")


async def allowed(operator: Operator, right: Right) -> bool:
    return not await operator.refused(right)


def test_the_operator_lives_on_these_rights(server: apiserver.ApiServer, kubeconfig: Path) -> None:
    """The process itself, from its lease to the first children of a ModelDeployment, without a word of complaint."""
    with operator_process.running(kubeconfig, namespace=NAMESPACE, lease=ACCOUNT) as process:
        apply(server, _made(resource.KIND, "churn", spec={"model": MODEL}))
        of_churn = ("-n", NAMESPACE, "-l", "seatrial.dev/modeldeployment=churn", "-o", "name")
        phase = ("mdeploy", "churn", "-n", NAMESPACE, "-o", "jsonpath={.status.phase}")
        waiting.until(lambda: server.kubectl("get", "jobs", *of_churn), what="the trial's Job", seconds=120)
        waiting.until(lambda: server.kubectl("get", *phase) == "Trial", what="a status", seconds=120)
    assert process.status == 0, process.said
    assert "forbidden" not in process.said.lower(), process.said


def test_a_secret_that_is_not_for_models_stalls_the_object_in_the_policys_words(
    server: apiserver.ApiServer, kubeconfig: Path
) -> None:
    """It was made after the ModelDeployment, which the API server had no reason to refuse."""
    apply(server, _made(resource.KIND, "later", spec={"model": {**MODEL, "secretRef": {"name": "later"}}}))
    server.kubectl("create", "secret", "generic", "later", "-n", NAMESPACE)
    message = 'jsonpath={.status.conditions[?(@.type=="Stalled")].message}'
    with operator_process.running(kubeconfig, namespace=NAMESPACE, lease=ACCOUNT) as process:
        waiting.until(
            lambda: "Secret later is not for models" in said(server, message), what="the policy's words", seconds=120
        )
        server.kubectl("label", "secret", "later", "-n", NAMESPACE, "seatrial.dev/for-models=true")
        waiting.until(
            lambda: "later" in server.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "name"), what="its Job", seconds=120
        )
    assert process.status == 0, process.said


def said(api: apiserver.ApiServer, what: str) -> str:
    return api.kubectl("get", "mdeploy", "later", "-n", NAMESPACE, "-o", what)
