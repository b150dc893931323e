"""The chart and the kustomize base in front of a real API server: rights, pod security, upgrade and uninstall."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.harness import apiserver, errors, paths, shell, waiting
from tests.contract import charts, established

from seatrial import __main__
from seatrial.api import crd
from seatrial.cli import generate

pytestmark = pytest.mark.apiserver

CHART = paths.REPO / generate.CHART
BASE = paths.REPO / "manifests" / "base"
CLUSTER = paths.REPO / "manifests" / "cluster"
ACCOUNT = f"system:serviceaccount:{generate.NAMESPACE}:seatrial"

FORBIDDEN = [
    ("patch", "modeldeployments.seatrial.dev"),
    ("patch", "modeldeployments.seatrial.dev/status"),
    ("update", "modeldeployments.seatrial.dev"),
    ("delete", "modeldeployments.seatrial.dev"),
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods"),
    ("update", "pods"),
    ("patch", "pods/status"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("create", "serviceaccounts/token"),
    ("deletecollection", "deployments.apps"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("patch", "namespaces"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ("get", "leases.coordination.k8s.io"),
    ("create", "events"),
    ("patch", "events.events.k8s.io"),
    ("list", "namespaces"),
    ("list", "customresourcedefinitions.apiextensions.k8s.io"),
    ("delete", "services"),
    ("get", "pods"),
]


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    with apiserver.running() as server:
        server.kubectl("apply", "--server-side", "-k", str(BASE))
        until_may(server, "create", "deployments.apps", namespace="default")
        until_may(server, "create", "leases.coordination.k8s.io", namespace=generate.NAMESPACE)
        yield server


@pytest.fixture(scope="module")
def bare() -> Iterator[apiserver.ApiServer]:
    """An API server that has never seen Seatrial."""
    with apiserver.running() as server:
        yield server


def helm(api: apiserver.ApiServer, *arguments: str) -> str:
    """Helm, with images where it renders the chart."""
    images = charts.IMAGES if arguments[0] in ("template", "install", "upgrade", "lint") else ()
    return shell.run([api.kubectl_argv[0], "helm", *arguments, *images], env=api.environment)


def rendered(api: apiserver.ApiServer, *flags: str, release: str = "seatrial") -> list[dict[str, Any]]:
    """What the chart makes of these values."""
    return [one for one in yaml.safe_load_all(helm(api, "template", release, str(CHART), *flags)) if one]


def may(
    api: apiserver.ApiServer, verb: str, resource: str, *, account: str = ACCOUNT, namespace: str, name: str = ""
) -> bool:
    """What the API server's own authorizer answers."""
    plural, _, subresource = resource.partition("/")
    extra = [f"--subresource={subresource}"] if subresource else []
    question = [
        "auth",
        "can-i",
        verb,
        f"{plural}/{name}" if name else plural,
        *extra,
        f"--as={account}",
        f"--namespace={namespace}",
    ]
    return api.kubectl(*question, check=False).strip() == "yes"


def until_may(
    api: apiserver.ApiServer, verb: str, resource: str, *, account: str = ACCOUNT, namespace: str, name: str = ""
) -> None:
    """Rights count a moment after they have been stored."""
    waiting.until(
        lambda: may(api, verb, resource, account=account, namespace=namespace, name=name),
        what=f"{account} may {verb} {resource}",
        seconds=60,
    )


def test_the_operator_may_do_its_work_in_any_namespace(api: apiserver.ApiServer) -> None:
    """What its work is, right by right, is tested where it is done."""
    assert may(api, "watch", "modeldeployments.seatrial.dev", namespace="default")
    assert may(api, "create", "deployments.apps", namespace="default")


@pytest.mark.parametrize(("verb", "resource"), FORBIDDEN)
def test_the_operator_may_do_nothing_else(api: apiserver.ApiServer, verb: str, resource: str) -> None:
    assert not may(api, verb, resource, namespace="default")


def test_the_operator_may_hold_its_own_lease_and_no_other(api: apiserver.ApiServer) -> None:
    for verb in ("get", "update"):
        assert may(api, verb, "leases.coordination.k8s.io", name="seatrial", namespace=generate.NAMESPACE)
        assert not may(api, verb, "leases.coordination.k8s.io", name="other", namespace=generate.NAMESPACE)
    assert may(api, "create", "leases.coordination.k8s.io", namespace=generate.NAMESPACE)


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


def test_what_prometheus_asks_for_reaches_the_operator_as_flags_it_knows(bare: apiserver.ApiServer) -> None:
    auth = {"secretName": "prom", "tokenKey": "token", "username": "u", "passwordKey": "word", "caKey": "ca.crt"}
    prometheus = {
        "auth": auth,
        "headers": {"X-Scope-OrgID": "shop and bank"},
        "insecureSkipVerify": True,
        "allow": ["*.monitoring.svc", "https://mimir.example.com/prometheus"],
        "secretNames": ["mimir"],
    }
    flags = ("--set-json", f"prometheus={json.dumps(prometheus)}")
    (deployment,) = (one for one in rendered(bare, *flags) if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert pod["volumes"] == [{"name": mount["name"], "secret": {"secretName": "prom"}}]
    read = __main__.main.make_context("operator", list(container["args"])).params
    assert read["prometheus_token_file"] == f"{mount['mountPath']}/token"
    assert read["prometheus_password_file"] == f"{mount['mountPath']}/word"
    assert read["prometheus_ca_file"] == f"{mount['mountPath']}/ca.crt"
    assert (read["prometheus_username"], read["prometheus_insecure_skip_verify"]) == ("u", True)
    assert read["prometheus_headers"] == ("X-Scope-OrgID=shop and bank",)
    assert read["prometheus_allow"] == tuple(prometheus["allow"])
    assert read["prometheus_secret_names"] == ("mimir",)


def test_without_such_values_the_pod_has_no_trace_of_them(bare: apiserver.ApiServer) -> None:
    (deployment,) = (one for one in rendered(bare) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container.keys().isdisjoint({"args", "volumeMounts"})


def test_secrets_are_read_by_name_and_only_when_they_are_listed(bare: apiserver.ApiServer) -> None:
    def rules(*flags: str) -> list[dict[str, Any]]:
        roles = (one for one in rendered(bare, *flags) if one["kind"].endswith("Role"))
        return [rule for role in roles for rule in role["rules"] if "secrets" in rule["resources"]]

    assert {verb for rule in rules() for verb in rule["verbs"]} == {"create"}
    listed = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["prom", "mimir"], "verbs": ["get"]}
    assert listed in rules("--set", "prometheus.secretNames={prom,mimir}")


def test_an_operator_for_some_namespaces_is_nothing_outside_them(bare: apiserver.ApiServer) -> None:
    """But the CRD, which the values leave out."""
    made = rendered(bare, "--set", "namespaces={shop,bank},crds.install=false", "-n", "ops")
    assert {one["metadata"].get("namespace", "") for one in made} == {"ops", "shop", "bank"}


@pytest.fixture(scope="module")
def prepared(bare: apiserver.ApiServer) -> apiserver.ApiServer:
    """With what a cluster has once, and a namespace whose administrator has no other rights."""
    bare.kubectl("apply", "--server-side", "-k", str(CLUSTER))
    established.until_established(bare)
    bare.namespace("shop")
    bare.kubectl("create", "rolebinding", "chief", "--clusterrole=admin", "--user=chief", "-n", "shop")
    until_may(bare, "update", "modeldeployments.seatrial.dev/status", account="chief", namespace="shop")
    return bare


def test_who_administers_a_namespace_installs_an_operator_for_it(prepared: apiserver.ApiServer) -> None:
    flags = ("--kube-as-user", "chief", "-n", "shop")
    values = "namespaces={shop},crds.install=false,replicas=2,networkPolicy.install=true"
    helm(prepared, "install", "own", str(CHART), "--set", values, *flags)
    account = "system:serviceaccount:shop:own-seatrial"
    until_may(prepared, "create", "deployments.apps", account=account, namespace="shop")
    assert not may(prepared, "create", "deployments.apps", account=account, namespace="default")
    helm(prepared, "uninstall", "own", *flags)


def test_who_administers_a_namespace_gets_no_further_by_installing(prepared: apiserver.ApiServer) -> None:
    flags = ("--kube-as-user", "chief", "-n", "shop")
    for values in ("crds.install=false", "namespaces={shop,default},crds.install=false"):
        with pytest.raises(errors.CommandFailed, match="forbidden"):
            helm(prepared, "install", "greedy", str(CHART), "--set", values, *flags)
        helm(prepared, "uninstall", "greedy", "--ignore-not-found", *flags)


def test_two_releases_in_one_namespace_hold_a_lease_each(prepared: apiserver.ApiServer) -> None:
    for release, namespace in (("one", "shop"), ("two", "default")):
        values = f"namespaces={{{namespace}}},crds.install=false"
        helm(prepared, "install", release, str(CHART), "-n", "shop", "--set", values)
    for release, other in (("one", "two"), ("two", "one")):
        account, lease = f"system:serviceaccount:shop:{release}-seatrial", "leases.coordination.k8s.io"
        until_may(prepared, "update", lease, name=f"{release}-seatrial", account=account, namespace="shop")
        assert not may(prepared, "update", lease, name=f"{other}-seatrial", account=account, namespace="shop")
        container = json.loads(prepared.kubectl("get", "deploy", f"{release}-seatrial", "-n", "shop", "-o", "json"))
        (container,) = container["spec"]["template"]["spec"]["containers"]
        assert {"name": "SEATRIAL_LEASE_NAME", "value": f"{release}-seatrial"} in container["env"]
    for release in ("one", "two"):
        helm(prepared, "uninstall", release, "-n", "shop")


def test_one_name_in_two_namespaces_is_two_releases(prepared: apiserver.ApiServer) -> None:
    for namespace in ("shop", "default"):
        helm(prepared, "install", "same", str(CHART), "-n", namespace, "--set", "crds.install=false")
    for namespace in ("shop", "default"):
        account = f"system:serviceaccount:{namespace}:same-seatrial"
        until_may(prepared, "create", "deployments.apps", account=account, namespace="kube-public")
        helm(prepared, "uninstall", "same", "-n", namespace)


def test_an_upgrade_restores_the_crd_and_an_uninstall_keeps_it_with_its_objects(bare: apiserver.ApiServer) -> None:
    bare.kubectl("delete", "-k", str(CLUSTER), "--ignore-not-found")  # what other tests have prepared
    namespace = ["-n", generate.NAMESPACE]
    helm(bare, "install", "seatrial", str(CHART), *namespace, "--create-namespace")
    established.until_established(bare)
    bare.kubectl("create", "-f", str(paths.REPO / "manifests" / "samples" / "churn.yaml"))
    helm(bare, "upgrade", "seatrial", str(CHART), *namespace, "--set", "crds.annotations.team=serving")
    assert "serving" in bare.kubectl("get", "crd", crd.NAME, "-o", "jsonpath={.metadata.annotations.team}")
    helm(bare, "uninstall", "seatrial", *namespace)
    assert bare.kubectl("get", "mdeploy", "churn", "-o", "name").strip() == "modeldeployment.seatrial.dev/churn"
    once = "clusterrole,validatingadmissionpolicy,validatingadmissionpolicybinding"
    assert bare.kubectl("get", once, "-l", "app.kubernetes.io/name=seatrial", "-o", "name") == ""
