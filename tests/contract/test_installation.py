"""The chart and the kustomize base in front of a real API server: rights, pod security, upgrade and uninstall."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.harness import apiserver, errors, paths, shell
from tests.contract import established

from seatrial.api import crd
from seatrial.cli import generate

pytestmark = pytest.mark.apiserver

CHART = paths.REPO / generate.CHART
BASE = paths.REPO / "manifests" / "base"
ACCOUNT = f"system:serviceaccount:{generate.NAMESPACE}:seatrial"

ALLOWED = [
    ("watch", "modeldeployments.seatrial.dev"),
    ("patch", "modeldeployments.seatrial.dev/status"),
    ("create", "deployments.apps"),
    ("delete", "controllerrevisions.apps"),
    ("create", "jobs.batch"),
    ("patch", "services"),
    ("create", "configmaps"),
    ("delete", "poddisruptionbudgets.policy"),
    ("list", "pods"),
    ("get", "pods/log"),
    ("watch", "endpointslices.discovery.k8s.io"),
    ("create", "events"),
    ("create", "events.events.k8s.io"),
    ("list", "namespaces"),
    ("watch", "customresourcedefinitions.apiextensions.k8s.io"),
]
FORBIDDEN = [
    ("patch", "modeldeployments.seatrial.dev"),
    ("update", "modeldeployments.seatrial.dev"),
    ("delete", "modeldeployments.seatrial.dev"),
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("create", "serviceaccounts/token"),
    ("deletecollection", "deployments.apps"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("patch", "namespaces"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ("get", "leases.coordination.k8s.io"),
]


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    with apiserver.running() as server:
        server.kubectl("apply", "--server-side", "-k", str(BASE))
        yield server


@pytest.fixture(scope="module")
def bare() -> Iterator[apiserver.ApiServer]:
    """An API server that has never seen Seatrial."""
    with apiserver.running() as server:
        yield server


def helm(api: apiserver.ApiServer, *arguments: str) -> str:
    return shell.run([api.kubectl_argv[0], "helm", *arguments], env=api.environment)


def may(api: apiserver.ApiServer, verb: str, resource: str, *, account: str = ACCOUNT, namespace: str) -> bool:
    """What the API server's own authorizer answers."""
    name, _, subresource = resource.partition("/")
    extra = [f"--subresource={subresource}"] if subresource else []
    question = ["auth", "can-i", verb, name, *extra, f"--as={account}", f"--namespace={namespace}"]
    return api.kubectl(*question, check=False).strip() == "yes"


@pytest.mark.parametrize(("verb", "resource"), ALLOWED)
def test_the_operator_may_do_its_work_in_any_namespace(api: apiserver.ApiServer, verb: str, resource: str) -> None:
    assert may(api, verb, resource, namespace="default")


@pytest.mark.parametrize(("verb", "resource"), FORBIDDEN)
def test_the_operator_may_do_nothing_else(api: apiserver.ApiServer, verb: str, resource: str) -> None:
    assert not may(api, verb, resource, namespace="default")


def test_the_operator_may_elect_a_leader_in_its_own_namespace(api: apiserver.ApiServer) -> None:
    for verb in ("get", "create", "update"):
        assert may(api, verb, "leases.coordination.k8s.io", namespace=generate.NAMESPACE)


def test_the_operators_pod_is_admitted_under_the_restricted_standard(api: apiserver.ApiServer) -> None:
    deployment = json.loads(api.kubectl("get", "deployment", "seatrial", "-n", generate.NAMESPACE, "-o", "json"))
    pod = pod_of(deployment)
    api.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(errors.CommandFailed, match='violates PodSecurity "restricted'):
        api.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "trial", "namespace": generate.NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deployment["spec"]["template"]["spec"]}


def test_the_kustomize_base_is_what_the_chart_renders(api: apiserver.ApiServer) -> None:
    command = f"{api.kubectl_argv[0]} helm"
    assert generate.stale(paths.REPO, generate.base(paths.REPO, helm=command)) == []


def test_the_chart_passes_helms_own_checks(bare: apiserver.ApiServer) -> None:
    assert "0 chart(s) failed" in helm(bare, "lint", "--strict", str(CHART))


def test_a_misspelt_value_is_refused(bare: apiserver.ApiServer) -> None:
    with pytest.raises(errors.CommandFailed, match="'promtheus' not allowed"):
        helm(bare, "template", "seatrial", str(CHART), "--set", "promtheus.url=http://prometheus")


def test_values_reach_the_operators_environment(bare: apiserver.ApiServer) -> None:
    values = ["image=local/operator:1", "servingImage=local/serving:2", "prometheus.url=http://prom:9090"]
    values += ["scrapeInterval=5s", "namespaces={shop,bank}"]
    flags = [part for value in values for part in ("--set", value)]
    rendered = list(yaml.safe_load_all(helm(bare, "template", "seatrial", str(CHART), *flags)))
    (deployment,) = (one for one in rendered if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    plain = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    assert container["image"] == "local/operator:1"
    assert plain == {
        "SEATRIAL_SERVING_IMAGE": "local/serving:2",
        "SEATRIAL_PROMETHEUS_URL": "http://prom:9090",
        "SEATRIAL_SCRAPE_INTERVAL": "5s",
        "SEATRIAL_NAMESPACES": "shop,bank",
    }


def test_a_release_for_some_namespaces_has_no_rights_elsewhere(bare: apiserver.ApiServer) -> None:
    for namespace in ("shop", "ops"):
        bare.kubectl("create", "namespace", namespace)
    helm(bare, "install", "narrow", str(CHART), "-n", "ops", "--set", "namespaces={shop},crds.install=false")
    account = "system:serviceaccount:ops:narrow-seatrial"
    assert may(bare, "create", "deployments.apps", account=account, namespace="shop")
    assert not may(bare, "create", "deployments.apps", account=account, namespace="default")
    helm(bare, "uninstall", "narrow", "-n", "ops")


def test_an_upgrade_restores_the_crd_and_an_uninstall_keeps_it_with_its_objects(bare: apiserver.ApiServer) -> None:
    namespace = ["-n", generate.NAMESPACE]
    helm(bare, "install", "seatrial", str(CHART), *namespace, "--create-namespace")
    established.until_established(bare)
    bare.kubectl("create", "-f", str(paths.REPO / "manifests" / "samples" / "churn.yaml"))
    helm(bare, "upgrade", "seatrial", str(CHART), *namespace, "--set", "crds.annotations.team=serving")
    assert "serving" in bare.kubectl("get", "crd", crd.NAME, "-o", "jsonpath={.metadata.annotations.team}")
    helm(bare, "uninstall", "seatrial", *namespace)
    assert bare.kubectl("get", "mdeploy", "churn", "-o", "name").strip() == "modeldeployment.seatrial.dev/churn"
    assert bare.kubectl("get", "clusterrole", "-l", "app.kubernetes.io/name=seatrial", "-o", "name") == ""
