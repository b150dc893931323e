"""A real API server takes the pods that reach their artifact through a Secret and a claim."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.cluster.harness import apiserver, errors, waiting
from tests.unit.rollout import placed
from tests.unit.rollout import world as worlds

from seatrial.api.spec import SecretReference
from seatrial.rollout import children, revision, templates

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def namespace(shop: apiserver.ApiServer) -> str:
    """With the service account that a controller manager makes, where one runs."""
    shop.namespace("artifacts")
    return "artifacts"


def accepted(shop: apiserver.ApiServer, name: str, template: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The pod as the API server would store it."""
    meta = {**template["metadata"], "name": name, "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    arguments = ("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    stored: dict[str, Any] = json.loads(shop.kubectl(*arguments, input=json.dumps(pod)))
    return stored


def knows_priority(shop: apiserver.ApiServer, namespace: str) -> bool:
    """Where pods are admitted, it is known a moment after it was stored."""
    containers = [{"name": "probe", "image": "probe:1"}]
    spec = {"containers": containers, "priorityClassName": placed.EVERYTHING.priority_class_name}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace}, "spec": spec}
    try:
        shop.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    except errors.CommandFailed as refused:
        return "PriorityClass" not in str(refused)
    return True


@pytest.mark.parametrize("uri", ["s3://models/churn/7.onnx", "pvc://shared-models/churn/7.onnx"])
def test_the_pods_are_accepted_as_they_are(shop: apiserver.ApiServer, namespace: str, uri: str) -> None:
    wish = worlds.spec("1")
    model = msgspec.structs.replace(wish.model, uri=uri, secret_ref=SecretReference(name="store"))
    wish = msgspec.structs.replace(wish, model=model)
    content = revision.wanted(wish, name="churn", default_image="serving:1", known=())
    record = children.new_record("churn", content=content, wish=wish, known={})
    trial = templates.trial("churn", record, config="{}")
    for name, template in (("server", record.pod_template), ("trial", trial)):
        stored = accepted(shop, name, template, namespace)
        containers = [*stored["spec"].get("initContainers", ()), *stored["spec"]["containers"]]
        with_secret = {one["name"] for one in containers if "envFrom" in one}
        with_claim = {one["name"] for one in containers for mount in one["volumeMounts"] if mount["name"] == "claim"}
        assert with_secret == {"fetch"}
        assert with_claim == (with_secret if uri.startswith("pvc") else set())


def test_placed_pods_are_accepted_under_the_restricted_standard(shop: apiserver.ApiServer, namespace: str) -> None:
    shop.kubectl("create", "serviceaccount", "models", "-n", namespace)
    shop.kubectl("create", "priorityclass", "high", "--value=1000")
    shop.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    waiting.until(lambda: knows_priority(shop, namespace), what="the priority class known", seconds=60)
    wish = msgspec.structs.replace(worlds.spec("1"), serving=placed.EVERYTHING)
    content = revision.wanted(wish, name="churn", default_image="serving:1", known=())
    record = children.new_record("churn", content=content, wish=wish, known={})
    for name, template in (("server", record.pod_template), ("trial", templates.trial("churn", record, config="{}"))):
        stored = accepted(shop, name, template, namespace)["spec"]
        assert (stored["nodeSelector"], stored["priority"]) == ({"disk": "ssd"}, 1000)
