"""The admission policies in front of a real API server: what a ModelDeployment may make its pods use, and what not.

The one who asks may write ModelDeployments and nothing else: such a right must not open every Secret of the namespace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.harness import apiserver, errors, paths, waiting
from tests.contract import established

pytestmark = pytest.mark.apiserver

AUTHOR = "--as=author"
LABEL = "seatrial.dev/for-models"
NOT_FOR_MODELS = "is not for models"
MODEL = {"uri": "https://models.example.com/churn/7.onnx", "sha256": "9f86d081" * 8}

WISHES = {
    "secret": {"model": {**MODEL, "secretRef": {"name": "closed"}}},
    "persistentvolumeclaim": {"model": {**MODEL, "uri": "pvc://closed/churn/7.onnx"}},
    "serviceaccount": {"model": MODEL, "serving": {"serviceAccountName": "closed"}},
    "cronjob": {"model": MODEL, "retraining": {"cronJob": "closed", "adopt": "External"}},
}
CONTAINER = {"name": "fetch", "image": "serving:1"}
PODS = {
    "secret": {"initContainers": [{**CONTAINER, "envFrom": [{"secretRef": {"name": "closed"}}]}]},
    "persistentvolumeclaim": {
        "volumes": [
            {"name": "work", "emptyDir": {}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "closed"}},
        ]
    },
    "serviceaccount": {"serviceAccountName": "closed"},
}
KINDS = list(PODS)
NAMED = list(WISHES)
CERTIFICATE = {"model": MODEL, "serving": {"tls": {"secretRef": {"name": "closed"}}}}
MOUNTED = {"volumes": [{"name": "work", "emptyDir": {}}, {"name": "tls", "secret": {"secretName": "closed"}}]}


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    with apiserver.running() as server:
        server.kubectl("apply", "--server-side", "-k", str(paths.REPO / "manifests" / "cluster"))
        established.until_established(server)
        server.kubectl("create", "clusterrole", "author", "--verb=create,update,get,patch", "--resource=mdeploy")
        server.kubectl("create", "rolebinding", "author", "--clusterrole=author", "--user=author", "-n", "default")
        for one in ("closed", "opened"):
            server.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(each) for each in named(one)))
        for kind in NAMED:
            server.kubectl("label", kind, "opened", f"{LABEL}=true")
        waiting.until(
            lambda: server.kubectl("get", "serviceaccount", "--field-selector=metadata.name=default", "-o", "name"),
            what="the namespace's service account",
            seconds=60,
        )
        for kind in NAMED:
            until_in_force(server, deployment("probe", WISHES[kind]), AUTHOR)
        for kind in KINDS:  # its policy on pods is the one on Jobs and Deployments
            until_in_force(server, workload("Pod", PODS[kind]))
        yield server


def until_in_force(api: apiserver.ApiServer, wish: dict[str, Any], *as_: str) -> None:
    """Its policy knows what is labelled and what is not: it learns both a moment after they are stored."""
    waiting.until(
        lambda: NOT_FOR_MODELS in refused(api, wish, *as_) and not refused(api, opened(wish), *as_),
        what="policies in force",
        seconds=60,
        explain=lambda: f"{refused(api, wish, *as_)}\n{refused(api, opened(wish), *as_)}",
    )


def named(name: str) -> list[dict[str, Any]]:
    """A Secret, a claim, a service account and a CronJob of this name."""
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
    runs = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": job}}
    claim = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **content}
        for kind, content in (("Secret", {}), ("PersistentVolumeClaim", {"spec": claim}), ("ServiceAccount", {}))
    ] + [
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "default"}, "spec": runs}
    ]


def deployment(name: str, wish: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": wish}


def workload(kind: str, pod: dict[str, Any], *, managed: str = "seatrial") -> dict[str, Any]:
    """What the operator makes, and what controllers make of it."""
    labels = {"app.kubernetes.io/managed-by": managed, "seatrial.dev/modeldeployment": "churn"}
    spec = {
        "containers": [{**CONTAINER, "name": "server"}],
        "restartPolicy": "Always" if kind == "Deployment" else "Never",
        **pod,
    }
    if kind == "Pod":
        version, whole = "v1", spec
    else:
        template = {"metadata": {"labels": labels}, "spec": spec}
        version, whole = ("apps/v1" if kind == "Deployment" else "batch/v1"), {"template": template}
        if kind == "Deployment":
            whole["selector"] = {"matchLabels": labels}
    metadata = {"name": "churn", "namespace": "default", "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": whole}


def opened(wish: dict[str, Any]) -> dict[str, Any]:
    """The same, naming what is labelled."""
    renamed: dict[str, Any] = json.loads(json.dumps(wish).replace("closed", "opened"))
    return renamed


def refused(api: apiserver.ApiServer, wish: dict[str, Any], *as_: str) -> str:
    """The API server's refusal; nothing when it says yes. Nothing is stored."""
    try:
        api.kubectl("create", "--dry-run=server", "-f", "-", *as_, input=json.dumps(wish))
    except errors.CommandFailed as refusal:
        return str(refusal)
    return ""


def test_a_certificate_is_a_secret_like_any_other(api: apiserver.ApiServer) -> None:
    assert "Secret closed is not for models" in refused(api, deployment("churn", CERTIFICATE), AUTHOR)
    assert not refused(api, deployment("churn", opened(CERTIFICATE)), AUTHOR)
    for kind in ("Deployment", "Pod"):
        assert "Secret closed is not for models" in refused(api, workload(kind, MOUNTED))
        assert not refused(api, workload(kind, opened(MOUNTED)))


@pytest.mark.parametrize("kind", NAMED)
def test_what_is_not_labelled_can_not_be_named(api: apiserver.ApiServer, kind: str) -> None:
    said = refused(api, deployment("churn", WISHES[kind]), AUTHOR)
    assert "closed is not for models: label it seatrial.dev/for-models=true" in said


@pytest.mark.parametrize("kind", NAMED)
def test_what_is_labelled_can_be_named(api: apiserver.ApiServer, kind: str) -> None:
    assert refused(api, deployment("churn", opened(WISHES[kind])), AUTHOR) == ""


def test_the_credentials_of_a_prometheus_need_the_label_too(api: apiserver.ApiServer) -> None:
    prometheus = {"url": "http://prometheus:9090", "secretRef": {"name": "closed"}}
    wish = deployment("churn", {"model": MODEL, "analysis": {"prometheus": prometheus}})
    assert "Secret closed is not for models" in refused(api, wish, AUTHOR)
    assert refused(api, opened(wish), AUTHOR) == ""


def test_what_names_nothing_is_admitted(api: apiserver.ApiServer) -> None:
    assert refused(api, deployment("churn", {"model": MODEL}), AUTHOR) == ""
    assert (
        refused(api, deployment("churn", {"model": MODEL, "serving": {"serviceAccountName": "default"}}), AUTHOR) == ""
    )


@pytest.mark.parametrize("value", ["false", "", "True"])
def test_only_the_word_true_says_so(api: apiserver.ApiServer, value: str) -> None:
    api.kubectl("create", "secret", "generic", f"odd-{value.lower() or 'empty'}-{len(value)}")
    name = f"odd-{value.lower() or 'empty'}-{len(value)}"
    api.kubectl("label", "secret", name, f"{LABEL}={value}")
    wish = deployment("churn", {"model": {**MODEL, "secretRef": {"name": name}}})
    waiting.until(lambda: "is not for models" in refused(api, wish, AUTHOR), what="refused", seconds=60)


@pytest.mark.parametrize("workload_kind", ["Job", "Deployment", "Pod"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_pod_of_the_operators_uses_what_is_not_labelled(
    api: apiserver.ApiServer, kind: str, workload_kind: str
) -> None:
    """The name may be of something that was made after the ModelDeployment was admitted."""
    said = refused(api, workload(workload_kind, PODS[kind]))
    assert "closed is not for models" in said
    assert refused(api, workload(workload_kind, opened(PODS[kind]))) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_pods_of_others_are_left_alone(api: apiserver.ApiServer, kind: str) -> None:
    assert refused(api, workload("Pod", PODS[kind], managed="Helm")) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_taken_back_blocks_new_pods_and_no_other_change(api: apiserver.ApiServer, kind: str) -> None:
    name = f"withdrawn-{kind}"[:40]
    wish = json.loads(json.dumps(WISHES[kind]).replace("closed", name))
    api.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(each) for each in named(name)))
    api.kubectl("label", kind, name, f"{LABEL}=true")
    waiting.until(lambda: not refused(api, deployment(name, wish), AUTHOR), what="allowed", seconds=60)
    api.kubectl("create", "-f", "-", AUTHOR, input=json.dumps(deployment(name, wish)))
    api.kubectl("label", kind, name, f"{LABEL}-")
    waiting.until(lambda: refused(api, deployment("other", wish), AUTHOR), what="refused", seconds=60)
    api.kubectl("patch", "mdeploy", name, AUTHOR, "--type=merge", "-p", '{"spec":{"replicas":3}}')
    pod = workload("Pod", json.loads(json.dumps(PODS[kind]).replace("closed", name)))
    waiting.until(lambda: NOT_FOR_MODELS in refused(api, pod), what="no new pods", seconds=60)


def test_a_change_that_begins_to_name_something_is_refused(api: apiserver.ApiServer) -> None:
    api.kubectl("create", "-f", "-", AUTHOR, input=json.dumps(deployment("later", {"model": MODEL})))
    for wish in WISHES.values():
        with pytest.raises(errors.CommandFailed, match="closed is not for models"):
            api.kubectl("patch", "mdeploy", "later", AUTHOR, "--type=merge", "-p", json.dumps({"spec": wish}))


def test_the_policies_have_no_mistake_that_the_api_server_finds(api: apiserver.ApiServer) -> None:
    def states() -> list[dict[str, Any]]:
        found = json.loads(api.kubectl("get", "validatingadmissionpolicies", "-o", "json"))["items"]
        return [one.get("status", {}) for one in found]

    waiting.until(lambda: all("observedGeneration" in one for one in states()), what="policies checked", seconds=60)
    assert [one["typeChecking"] for one in states()] == [{}] * len(states()), "no warning about an expression"


OPERATOR = "--as=system:serviceaccount:seatrial-system:seatrial"
ASSIGNED = {"metadata": {"annotations": {"seatrial.dev/relay": '{"weight": 10}'}}}
ELSE = {
    "another annotation": {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}},
    "another annotation as well": {"metadata": {"annotations": {"seatrial.dev/relay": "{}", "owner": "me"}}},
    "an annotation taken away": {"metadata": {"annotations": {"kept": None}}},
    "a label": {"metadata": {"labels": {"seatrial.dev/revision": "other"}}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/never"]}},
    "no owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}},
    "its image": {"spec": {"containers": [{"name": "server", "image": "other:1"}]}},
    "a deadline": {"spec": {"activeDeadlineSeconds": 1}},
}


@pytest.fixture(scope="module")
def serving(api: apiserver.ApiServer) -> str:
    """A serving pod, and the operator's right to patch pods."""
    pod = workload("Pod", {})
    pod["metadata"] |= {"name": "serving", "annotations": {"kept": "yes"}}
    pod["metadata"]["labels"] |= {"app.kubernetes.io/component": "server"}
    api.kubectl("create", "-f", "-", input=json.dumps(pod))
    api.kubectl("create", "clusterrole", "patching", "--verb=get,patch", "--resource=pods")
    account = "--serviceaccount=seatrial-system:seatrial"
    api.kubectl("create", "clusterrolebinding", "patching", "--clusterrole=patching", account)
    waiting.until(
        lambda: "may change" in patched(api, "serving", ELSE["a label"]), what="the policy on pods in force", seconds=60
    )
    return "serving"


def patched(api: apiserver.ApiServer, pod: str, change: dict[str, Any], *, as_: str = OPERATOR) -> str:
    """The API server's refusal of a patch; nothing when it says yes. Nothing is stored."""
    patch = ("--type=strategic", "-p", json.dumps(change), "--dry-run=server")
    try:
        api.kubectl("patch", "pod", pod, as_, *patch)
    except errors.CommandFailed as refusal:
        return str(refusal)
    return ""


def test_the_operator_tells_a_serving_pod_what_to_pass_on_and_takes_it_back(
    api: apiserver.ApiServer, serving: str
) -> None:
    assert patched(api, serving, ASSIGNED) == ""
    api.kubectl("annotate", "pod", serving, "seatrial.dev/relay={}")
    try:
        assert patched(api, serving, {"metadata": {"annotations": {"seatrial.dev/relay": None}}}) == ""
    finally:
        api.kubectl("annotate", "pod", serving, "seatrial.dev/relay-")


@pytest.mark.parametrize("change", ELSE)
def test_the_operator_changes_nothing_else_of_it(api: apiserver.ApiServer, serving: str, change: str) -> None:
    assert "the operator may change the annotation seatrial.dev/relay of a pod" in patched(api, serving, ELSE[change])


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/modeldeployment": "churn"},
        {"app.kubernetes.io/component": "server", "seatrial.dev/modeldeployment": "churn"},
        {"app.kubernetes.io/managed-by": "seatrial", "app.kubernetes.io/component": "server"},
    ],
    ids=["nobody's", "a trial's", "of another manager", "of no deployment"],
)
@pytest.mark.usefixtures("serving")
def test_the_operator_changes_no_other_pod(api: apiserver.ApiServer, labels: dict[str, str]) -> None:
    pod = workload("Pod", {})
    name = "-".join(["other", *sorted(key.rpartition("/")[2] for key in labels)])
    pod["metadata"] |= {"name": name, "labels": labels}
    api.kubectl("create", "-f", "-", input=json.dumps(pod))
    assert "the operator may change serving pods of ModelDeployments only" in patched(api, name, ASSIGNED)


def test_others_are_not_concerned(api: apiserver.ApiServer, serving: str) -> None:
    """Whoever else may change pods goes on doing so."""
    api.kubectl("label", "pod", serving, "note=me", "--dry-run=server")
    api.kubectl("create", "clusterrolebinding", "other", "--clusterrole=patching", "--user=other")
    waiting.until(
        lambda: patched(api, serving, ELSE["a label"], as_="--as=other") == "", what="another may patch", seconds=60
    )


def test_what_a_training_job_may_use_is_for_the_author_of_its_cron_job(api: apiserver.ApiServer) -> None:
    """Who names a CronJob needs its consent, by the label; what is in it was somebody else's to allow."""
    job = workload("Job", PODS["secret"])
    job["metadata"]["labels"]["seatrial.dev/training"] = "1"
    assert refused(api, job) == ""
