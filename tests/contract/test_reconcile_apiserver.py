"""The real reconciler against the real API server: children are accepted as rendered, and a second look writes nothing.

There is no node: what kubelets and the endpoints' controller would do is done by hand.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.bench import crowd
from tests.cluster.harness import apiserver, waiting
from tests.contract import quotas
from tests.contract.eventually import eventually
from tests.unit.rollout import build

from seatrial.api import placement, status
from seatrial.cluster import events, kubernetes
from seatrial.control import queue, reconcile, telemetry
from seatrial.rollout import bounds, facts, report

pytestmark = pytest.mark.apiserver

OPERATOR = facts.Operator(serving_image="seatrial.dev/serving:1")
MODEL = {"uri": "https://models.example.com/churn/7/model.onnx", "sha256": "9f86d081" * 8}
LINE = json.dumps({"outcome": "Passed", "servedSha256": "5e", "precision": "fp32"})
OURS = "controllerrevisions,services,jobs,configmaps,deployments,poddisruptionbudgets,modeldeployments"
SERVERS = ("-l", "app.kubernetes.io/component=server")


class Logged(kubernetes.KubernetesCluster):
    """The cluster, with the log of a passed trial: there is no kubelet to ask."""

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        return f"{LINE}\n"


@dataclasses.dataclass(frozen=True)
class Scene:
    """One ModelDeployment in a namespace of its own, and an operator that looks when told to."""

    api: apiserver.ApiServer
    cluster: kubernetes.KubernetesCluster
    reconciler: reconcile.Reconciler
    namespace: str

    async def settle(self) -> None:
        """Looks as long as there is something to do at once, and once more for what the last write changed."""
        for _ in range(10):
            if (await self.reconciler.reconcile(queue.Key(self.namespace, "churn"))).look_again_in != 0:
                break
        else:
            raise AssertionError("it never comes to rest")
        await self.reconciler.reconcile(queue.Key(self.namespace, "churn"))

    def kubectl(self, *args: str) -> str:
        return self.api.kubectl(*args, "-n", self.namespace)

    def listed(self, kinds: str, *args: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-o", "json", *args))["items"]
        return [one for one in items if one["metadata"]["name"] != "kube-root-ca.crt"]

    def kinds(self) -> set[str]:
        return {one["kind"] for one in self.listed(OURS)} - {"ModelDeployment"}

    def versions(self) -> dict[tuple[str, str], list[str]]:
        """What our field manager wrote, and when, by object: controllers write too, under their own names."""
        return {
            (one["kind"], one["metadata"]["name"]): [
                json.dumps(entry, sort_keys=True)
                for entry in one["metadata"]["managedFields"]
                if entry["manager"] == "seatrial"
            ]
            for one in self.listed(OURS, "--show-managed-fields")
        }

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.listed("modeldeployments")[0]["status"]
        return found

    async def raw(self) -> dict[str, Any]:
        found = await self.cluster.get("ModelDeployment", self.namespace, "churn")
        assert found is not None
        return found

    async def assert_at_rest(self) -> None:
        """Defaults that the API server fills in don't make the operator write again; nothing of a status is lost."""
        before = self.versions()
        await self.settle()
        assert self.versions() == before
        kept = self.status()
        assert json.loads(msgspec.json.encode(msgspec.convert(kept, status.Status))) == kept

    async def pass_the_trial(self) -> None:
        """What a node would do: the trial's pod ends with its report in the log. The controllers then end the Job."""
        await eventually(self._trial_pods, what="the trial's pod", seconds=120)
        [pod] = await self._trial_pods()
        message = json.dumps({"sha256": report.digest_of(LINE)})
        ended = {"terminated": {"exitCode": 0, "message": message, "containerID": "c://x"}}
        container = {"name": "trial", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": ended}
        state = {"phase": "Succeeded", "containerStatuses": [container]}
        patch = json.dumps({"status": state})
        name = pod["metadata"]["name"]
        self.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)

    async def _trial_pods(self) -> list[dict[str, Any]]:
        return self.listed("pods", "-l", "app.kubernetes.io/component=trial")

    def await_pods(self, count: int) -> None:
        """The controllers have made the servers' pods."""
        waiting.until(lambda: len(self.listed("pods", *SERVERS)) == count, what=f"{count} pods made", seconds=120)

    def start_pods(self, count: int) -> None:
        """What a node and the endpoints' controller (which wants a node) would do: pods run, the Service finds them."""
        self.await_pods(count)
        ends = []
        for number, pod in enumerate(self.listed("pods", *SERVERS)):
            name, address = pod["metadata"]["name"], f"198.19.1.{number + 1}"
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:00Z"}
            state = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
            patch = json.dumps({"status": state})
            self.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)
            target = {"kind": "Pod", "namespace": self.namespace, "name": name}
            ends.append({"addresses": [address], "conditions": {"ready": True}, "targetRef": target})
        routed = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": self.namespace,
                "name": "churn-by-hand",
                "labels": {"kubernetes.io/service-name": "churn", "seatrial.dev/modeldeployment": "churn"},
            },
            "addressType": "IPv4",
            "endpoints": ends,
        }
        self.api.kubectl("apply", "-f", "-", input=json.dumps(routed))


def smallest(namespace: str) -> str:
    """The smallest object that works."""
    metadata = {"namespace": namespace, "name": "churn"}
    wish = {"apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata}
    return json.dumps({**wish, "spec": {"model": MODEL}})


@pytest.fixture
def scene(shop: apiserver.ApiServer, cluster: kubernetes.KubernetesCluster) -> Iterator[Scene]:
    """The smallest object that works, in a namespace that enforces the restricted standard."""
    namespace = f"reconciled-{secrets.token_hex(4)}"
    shop.namespace(namespace)
    shop.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    shop.kubectl("apply", "-f", "-", input=smallest(namespace))
    reconciler = reconcile.Reconciler(
        cluster=Logged(cluster._rest),
        looks=crowd.Silent(),
        reports=crowd.Silent(),
        events=events.Events(cluster, instance="operator-0", failed=lambda: None),
        telemetry=telemetry.Telemetry(),
        operator=OPERATOR,
    )
    yield Scene(api=shop, cluster=cluster, reconciler=reconciler, namespace=namespace)
    # What other tests count goes at once; the rest takes its time.
    shop.kubectl("delete", "modeldeployments,configmaps", "-n", namespace, "--all")
    shop.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_a_first_version_from_the_smallest_object_to_stable(scene: Scene) -> None:
    await scene.settle()
    assert scene.kinds() == {"ControllerRevision", "Service", "Job"}
    await scene.assert_at_rest()

    await scene.pass_the_trial()
    await scene.settle()
    assert scene.kinds() == {"ControllerRevision", "Service", "Job", "ConfigMap", "Deployment"}
    scene.await_pods(2)
    await scene.settle()
    await scene.assert_at_rest()

    scene.start_pods(2)
    await scene.settle()
    assert scene.status()["phase"] == "Stable"
    assert "PodDisruptionBudget" in scene.kinds()
    await scene.assert_at_rest()


async def test_the_scale_subresource_finds_the_pods(scene: Scene) -> None:
    await scene.settle()
    await scene.pass_the_trial()
    await scene.settle()
    scene.start_pods(2)
    await scene.settle()
    path = f"/apis/seatrial.dev/v1alpha1/namespaces/{scene.namespace}/modeldeployments/churn/scale"
    scale = json.loads(scene.api.kubectl("get", "--raw", path))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    assert len(scene.listed("pods", "-l", scale["status"]["selector"])) == 2
    scene.kubectl("scale", "modeldeployment", "churn", "--replicas=3")
    await scene.settle()
    scene.await_pods(3)


NEWER = facts.Operator(
    serving_image="seatrial.dev/serving:2",
    pods=placement.Placement(
        node_selector={"pool": "models"},
        env=(placement.Variable(name="OMP_NUM_THREADS", value="1"),),
        pod_labels={"team": "ml"},
    ),
)


def upgraded(scene: Scene) -> Scene:
    """The same world, and an operator that was installed with another image and other defaults of pods."""
    reconciler = reconcile.Reconciler(
        cluster=Logged(scene.cluster._rest),
        looks=crowd.Silent(),
        reports=crowd.Silent(),
        events=events.Events(scene.cluster, instance="operator-1", failed=lambda: None),
        telemetry=telemetry.Telemetry(),
        operator=NEWER,
    )
    return dataclasses.replace(scene, reconciler=reconciler)


async def test_an_upgrade_of_the_operator_restarts_no_pod_and_its_defaults_are_for_what_is_new(scene: Scene) -> None:
    """In the middle of a rollout: stable's pods and the candidate's stay; the Deployment controller would tell."""

    def pods() -> set[str]:
        return {one["metadata"]["uid"] for one in scene.listed("pods", *SERVERS)}

    def generations() -> dict[str, int]:
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in scene.listed("deployments")}

    await scene.settle()
    await scene.pass_the_trial()
    await scene.settle()
    scene.start_pods(2)
    await scene.settle()
    other = {"spec": {"model": {"sha256": "0" * 64, "version": "8"}}}
    scene.kubectl("patch", "modeldeployment", "churn", "--type=merge", "-p", json.dumps(other))
    await scene.settle()
    before, made = pods(), generations()
    await upgraded(scene).settle()
    assert (pods(), generations()) == (before, made)

    third = {"spec": {"model": {"sha256": "1" * 64, "version": "9"}}}
    scene.kubectl("patch", "modeldeployment", "churn", "--type=merge", "-p", json.dumps(third))
    await upgraded(scene).settle()
    assert before <= pods(), "a new version starts beside what serves"
    templates = {
        one["data"]["content"]["modelVersion"]: one["data"]["podTemplate"]
        for one in scene.listed("controllerrevisions")
    }
    assert templates["9"]["spec"]["nodeSelector"] == {"pool": "models"}
    assert templates["9"]["spec"]["containers"][0]["image"] == "seatrial.dev/serving:2"
    assert [name for name, one in templates.items() if "nodeSelector" in one["spec"]] == ["9"]


async def test_every_field_of_a_status_is_kept_by_the_schema(scene: Scene) -> None:
    full = json.loads(msgspec.json.encode(bounds.fitting(build.longest_status())))
    for number, one in enumerate(full["conditions"]):
        one["type"] = f"T{number}"  # the list is keyed by type
    stored = await scene.cluster.write_status({**await scene.raw(), "status": full})
    assert stored["status"] == full


async def test_a_selector_can_be_widened_and_pinned_again(scene: Scene) -> None:
    await scene.settle()
    [service] = scene.listed("services")
    wanted = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {field: service["metadata"][field] for field in ("namespace", "name", "labels", "ownerReferences")},
    }
    ports = [
        {field: one[field] for field in ("name", "port", "targetPort", "protocol")} for one in service["spec"]["ports"]
    ]
    for labels in ({"a": "1", "b": "2"}, {"a": "1"}, {"a": "1", "b": "3"}):
        applied = await scene.cluster.apply({**wanted, "spec": {"selector": labels, "ports": ports}})
        assert applied["spec"]["selector"] == labels


async def test_a_refused_child_shows_the_apis_own_words_until_it_is_let_in(scene: Scene) -> None:
    scene.kubectl("create", "quota", "tight", "--hard=count/jobs.batch=0")
    quotas.until_refused(scene.api, scene.namespace, quotas.JOB)
    await scene.settle()
    said = {one["type"]: one for one in scene.status()["conditions"]}
    assert (said["Stalled"]["status"], said["Stalled"]["reason"]) == ("True", "ChildRefused")
    assert "exceeded quota: tight" in said["Ready"]["message"]
    await scene.assert_at_rest()
    scene.kubectl("delete", "quota", "tight")
    quotas.until_admitted(scene.api, scene.namespace, quotas.JOB)
    await scene.settle()
    assert "Job" in scene.kinds()
    assert scene.status()["phase"] == "Trial"


async def test_children_that_an_orphaning_delete_left_behind_are_taken_over_as_they_are(scene: Scene) -> None:
    await scene.settle()
    await scene.pass_the_trial()
    await scene.settle()
    scene.start_pods(2)
    await scene.settle()
    kinds = "controllerrevisions,services,deployments,configmaps"
    before = {(one["kind"], one["metadata"]["name"]): one["metadata"]["uid"] for one in scene.listed(kinds)}
    scene.kubectl("delete", "modeldeployment", "churn", "--cascade=orphan")
    assert not any(one["metadata"].get("ownerReferences") for one in scene.listed(kinds))
    scene.api.kubectl("apply", "-f", "-", input=smallest(scene.namespace))
    for _ in range(3):
        await scene.settle()
    owner = (await scene.raw())["metadata"]["uid"]
    for one in scene.listed(kinds):
        meta = one["metadata"]
        assert (meta["uid"], meta["ownerReferences"][0]["uid"]) == (before[one["kind"], meta["name"]], owner)
    assert scene.status()["phase"] == "Stable"
