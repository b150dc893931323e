"""Access to a real API server: each promise of the protocol."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster.harness import apiserver
from tests.contract import quotas
from tests.contract.eventually import eventually

from seatrial.cluster import errors, events, kinds, kubernetes, rest

pytestmark = pytest.mark.apiserver

Cluster = kubernetes.KubernetesCluster
LABELS = {"app.kubernetes.io/managed-by": "seatrial"}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "shop", "name": name, "labels": LABELS},
        "data": data,
    }


def model_deployment(name: str) -> dict[str, Any]:
    model = {"uri": "https://models.example.com/churn/7/model.onnx", "sha256": "9f86d081" * 8}
    return {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"model": model},
    }


@pytest.fixture(autouse=True)
def clean(shop: apiserver.ApiServer) -> Iterator[None]:
    yield
    shop.kubectl("delete", "configmaps,modeldeployments", "-n", "shop", "--all")


@pytest.mark.parametrize("kind", sorted(kinds.KINDS), ids=str)
async def test_every_kind_of_the_table_is_where_it_says(cluster: Cluster, kind: str) -> None:
    for item in await cluster.list(kind, None):
        assert (item["apiVersion"], item["kind"]) == (kinds.KINDS[kind].api_version, kind)
        assert "managedFields" not in item["metadata"]


async def test_what_is_not_there_is_none(cluster: Cluster) -> None:
    assert await cluster.get("ConfigMap", "shop", "nothing") is None


async def test_applying_creates_then_changes_then_changes_nothing(cluster: Cluster) -> None:
    first = await cluster.apply(config_map("a", weight="10"))
    second = await cluster.apply(config_map("a", weight="50"))
    third = await cluster.apply(config_map("a", weight="50"))
    versions = [one["metadata"]["resourceVersion"] for one in (first, second, third)]
    assert versions[0] != versions[1] == versions[2]
    assert third["data"] == {"weight": "50"}
    assert third["metadata"]["managedFields"][0]["manager"] == "seatrial"


async def test_applying_takes_over_what_somebody_changed_and_leaves_what_is_theirs(
    cluster: Cluster, shop: apiserver.ApiServer
) -> None:
    await cluster.apply(config_map("a", weight="10"))
    patch = {"metadata": {"labels": {"team": "blue"}}, "data": {"weight": "99"}}
    shop.kubectl("patch", "configmap", "a", "-n", "shop", "-p", json.dumps(patch))
    applied = await cluster.apply(config_map("a", weight="10"))
    assert applied["data"] == {"weight": "10"}
    assert applied["metadata"]["labels"] == {**LABELS, "team": "blue"}


async def test_lists_filter_by_label_and_come_in_chunks(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_CHUNK", 2)
    for name in "abcde":
        await cluster.apply(config_map(name))
    assert [one["metadata"]["name"] for one in await cluster.list("ConfigMap", "shop", LABELS)] == list("abcde")
    assert await cluster.list("ConfigMap", "shop", {"team": "red"}) == []
    assert len(await cluster.list("ConfigMap", None, LABELS)) == 5


async def test_a_label_can_be_asked_for_whatever_its_value(cluster: Cluster) -> None:
    await cluster.apply(config_map("a"))
    assert len(await cluster.list("ConfigMap", "shop", {"app.kubernetes.io/managed-by": None})) == 1
    assert await cluster.list("ConfigMap", "shop", {"team": None}) == []


async def test_a_status_is_written_only_over_what_was_read(cluster: Cluster) -> None:
    await cluster.apply(model_deployment("churn"))
    read = await cluster.get("ModelDeployment", "shop", "churn")
    assert read is not None
    stale = copy.deepcopy(read)
    read["status"] = {"phase": "Trial", "observedGeneration": 1}
    written = await cluster.write_status(read)
    assert written["status"]["phase"] == "Trial"
    stale["status"] = {"phase": "Canary"}
    with pytest.raises(errors.Conflict):
        await cluster.write_status(stale)


async def test_writing_a_status_changes_neither_spec_nor_metadata(cluster: Cluster) -> None:
    await cluster.apply(model_deployment("churn"))
    read = await cluster.get("ModelDeployment", "shop", "churn")
    assert read is not None
    mine = copy.deepcopy(read)
    mine["spec"]["replicas"] = 7
    mine["metadata"]["annotations"] = {"a": "b"}
    mine["status"] = {"phase": "Trial"}
    written = await cluster.write_status(mine)
    assert written["spec"] == read["spec"]
    assert "annotations" not in written["metadata"]
    assert written["metadata"]["generation"] == read["metadata"]["generation"]


async def test_a_write_without_a_version_is_a_fault_of_ours(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="resourceVersion"):
        await cluster.write_status(model_deployment("churn"))


async def test_a_name_that_is_taken_is_a_conflict(cluster: Cluster) -> None:
    await cluster.create(config_map("a"))
    with pytest.raises(errors.Conflict, match="already exists"):
        await cluster.create(config_map("a"))


async def test_only_the_very_object_is_deleted(cluster: Cluster) -> None:
    created = await cluster.create(config_map("a"))
    await cluster.delete("ConfigMap", "shop", "a", uid="00000000-0000-0000-0000-000000000000")
    assert await cluster.get("ConfigMap", "shop", "a") is not None
    await cluster.delete("ConfigMap", "shop", "a", uid=created["metadata"]["uid"])
    assert await cluster.get("ConfigMap", "shop", "a") is None
    await cluster.delete("ConfigMap", "shop", "a", uid=created["metadata"]["uid"])


async def test_a_refusal_says_what_the_api_says(cluster: Cluster, shop: apiserver.ApiServer) -> None:
    shop.kubectl("create", "quota", "tight", "-n", "shop", "--hard=configmaps=0")
    try:
        quotas.until_refused(shop, "shop", quotas.CONFIG_MAP)
        with pytest.raises(errors.Refused, match="exceeded quota: tight") as refused:
            await cluster.apply(config_map("a"))
        assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
    finally:
        shop.kubectl("delete", "quota", "tight", "-n", "shop")
        quotas.until_admitted(shop, "shop", quotas.CONFIG_MAP)
    with pytest.raises(errors.Refused, match="RFC 1123"):
        await cluster.apply(config_map("Not A Name"))


async def test_a_namespace_that_is_missing_is_not_found(cluster: Cluster) -> None:
    lost = config_map("a")
    lost["metadata"]["namespace"] = "nowhere"
    with pytest.raises(errors.NotFound, match="nowhere"):
        await cluster.apply(lost)


async def test_the_log_of_a_pod_that_is_missing_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound):
        await cluster.pod_log("shop", "nothing", "trial", limit_bytes=1000, tail_lines=1)


async def test_an_event_is_shown_by_kubectl_describe(cluster: Cluster, shop: apiserver.ApiServer) -> None:
    churn = await cluster.apply(model_deployment("churn"))

    def failed() -> None:
        raise AssertionError("not posted")

    poster = events.Events(cluster, instance="operator-0", failed=failed)
    await poster.post(churn, type="Warning", reason="RolledBack", message="errors regressed, 2.2% against 0.5%")
    described = shop.kubectl("describe", "modeldeployment", "churn", "-n", "shop")
    assert re.search(r"Warning +RolledBack .*errors regressed, 2\.2% against 0\.5%", described)


async def test_the_servers_time_is_known_after_the_first_answer(cluster: Cluster) -> None:
    with pytest.raises(errors.Unavailable):
        cluster.server_now()
    before = datetime.now(UTC)
    await cluster.get("ConfigMap", "shop", "nothing")
    assert before - timedelta(seconds=1) <= cluster.server_now() <= datetime.now(UTC)


async def test_a_server_that_is_frozen_or_gone_is_unavailable(
    shop: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(shop.kubeconfig))
    async with kubernetes.connected(timeout=0.5) as impatient:

        async def answered() -> bool:
            with contextlib.suppress(errors.Unavailable):  # half a second may be short for a healthy one, too
                await impatient.get("ConfigMap", "shop", "a")
                return True
            return False

        await eventually(answered, what="a healthy server's answer")
        shop.server.freeze()
        try:
            with pytest.raises(errors.Unavailable, match=r"no answer within 0\.5 s"):
                await impatient.get("ConfigMap", "shop", "a")
        finally:
            shop.server.thaw()
        await eventually(answered, what="an answer of the same server")


async def test_nobody_there_is_unavailable(shop: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(shop.kubeconfig))
    settings = await rest.configuration()
    settings.host = "https://127.0.0.1:1"
    transport = rest.Rest(settings)
    with pytest.raises(errors.Unavailable):
        await transport.call("GET", "/version")
    await transport.close()


async def test_without_credentials_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    with pytest.raises(errors.Refused, match="set KUBECONFIG"):
        await rest.configuration()


async def test_one_annotation_of_a_pod_is_written_and_taken_away_and_nothing_else_of_it(
    cluster: Cluster, shop: apiserver.ApiServer
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "told", "annotations": {"kept": "yes"}},
        "spec": {"containers": [{"name": "server", "image": "serving:1"}], "serviceAccountName": "told"},
    }
    shop.kubectl("create", "serviceaccount", "told", "-n", "shop")
    uid = (await cluster.create(pod))["metadata"]["uid"]

    async def told(text: str | None, *, uid: str = uid) -> dict[str, str]:
        answer = await cluster.annotate("shop", "told", uid=uid, name="seatrial.dev/relay", text=text)
        annotations: dict[str, str] = answer["metadata"]["annotations"]
        return annotations

    assert await told("{}") == {"kept": "yes", "seatrial.dev/relay": "{}"}
    assert await told(None) == {"kept": "yes"}
    assert await told(None) == {"kept": "yes"}
    with pytest.raises(errors.Conflict):
        await told("{}", uid="another")
    shop.kubectl("delete", "pod", "told", "-n", "shop", "--force", "--grace-period=0")
    with pytest.raises(errors.NotFound):
        await told("{}")
