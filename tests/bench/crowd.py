"""A thousand ModelDeployments at rest on a real API server without a node, for the benchmark of the operator's cost.

One object of each kind of interest is brought to its state by the real reconciler, with this module as its kubelet and
controllers; the others are copies of it with other names. So they are at rest for the operator as its own work is.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from typing import Any

from seatrial.cluster import events, kubernetes
from seatrial.control import queue, reconcile, telemetry
from seatrial.rollout import facts, looking, looks, report

IMAGE = "registry.example.com/seatrial/serving:1"
PATTERN = "crowd-0000"
HASH = "5d8f9c7b6d"
KINDS = (
    "ControllerRevision",
    "ConfigMap",
    "Job",
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "Pod",
    "EndpointSlice",
)
REPORT = json.dumps({"outcome": "Passed", "servedSha256": "5e", "precision": "fp32"})
MODEL = "seatrial.dev/modeldeployment"
PARALLEL = 24

Object = dict[str, Any]


def model_deployment(name: str, namespace: str, *, version: int = 1) -> Object:
    model = {
        "uri": f"https://models.example.com/churn/{version}/model.onnx",
        "sha256": f"{version:x}" * 64,
        "version": str(version),
        "name": "churn",
    }
    return {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"model": model, "replicas": 2},
    }


class Kubelet(kubernetes.KubernetesCluster):
    """The cluster, with the logs of passed trials."""

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        return f"{REPORT}\n"


class Silent:
    """No look at any metrics, and no report of any pod."""

    def newest(self, key: queue.Key, question: looking.Question | None) -> looks.Look | None:
        return None

    def attached(self, key: queue.Key, snapshot: facts.Snapshot) -> facts.Snapshot:
        return snapshot

    def forget(self, key: queue.Key) -> None:
        """Nothing is kept."""


class Stage:
    """One object that is brought to a state."""

    def __init__(self, cluster: Kubelet, namespace: str) -> None:
        self.cluster = cluster
        self.key = queue.Key(namespace, PATTERN)
        self._reconciler = reconcile.Reconciler(
            cluster=cluster,
            looks=Silent(),
            reports=Silent(),
            events=events.Events(cluster, instance="bench", failed=lambda: None),
            telemetry=telemetry.Telemetry(),
            operator=facts.Operator(serving_image=IMAGE),
        )

    async def at_rest(self) -> Stage:
        """The first version is stable."""
        await self.cluster.create(model_deployment(PATTERN, self.key.namespace))
        for _ in range(12):
            await self._look()
            await self._live(ready=True)
            if (await self.status()).get("phase") == "Stable":
                await self._look()
                return self
        raise RuntimeError(f"not at rest: {await self.status()}")

    async def starting(self) -> Stage:
        """And the second version's pods are starting."""
        await self.at_rest()
        raw = await self.cluster.get("ModelDeployment", *self._name())
        assert raw is not None
        raw["spec"] = model_deployment(PATTERN, self.key.namespace, version=2)["spec"]
        await self.cluster.replace(raw)
        for _ in range(6):
            await self._look()
            await self._live(ready=False)
        if (await self.status()).get("phase") != "Starting":
            raise RuntimeError(f"not starting: {await self.status()}")
        return self

    async def status(self) -> Object:
        raw = await self.cluster.get("ModelDeployment", *self._name())
        found: Object = (raw or {}).get("status") or {}
        return found

    def _name(self) -> tuple[str, str]:
        return self.key.namespace, self.key.name

    async def _look(self) -> None:
        for _ in range(5):
            if (await self._reconciler.reconcile(self.key)).look_again_in != 0:
                return

    async def _live(self, *, ready: bool) -> None:
        """What controllers, scheduler and kubelet would do."""
        for job in await self._own("Job"):
            if not (job.get("status") or {}).get("conditions"):
                await self._end_trial(job)
        ends = []
        for deployment in await self._own("Deployment"):
            for number in range(deployment["spec"]["replicas"]):
                pod = await self._pod_of(deployment, number, ready=ready)
                ends.append(_endpoint(pod, number, ready=_is_ready(pod)))
        if ends and (services := await self._own("Service")):
            await self.cluster.apply(_slice(services[0], ends))

    async def _own(self, kind: str) -> list[Object]:
        return await self.cluster.list(kind, self.key.namespace, {MODEL: self.key.name})

    async def _pod(self, name: str, owner: Object, reference: Object, **labels: str) -> Object:
        template = owner["spec"]["template"]
        meta = {
            "namespace": self.key.namespace,
            "name": name,
            "labels": {**template["metadata"]["labels"], **labels},
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [{"apiVersion": "apps/v1", "controller": True, **reference}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        return await self.cluster.create(pod)

    async def _end_trial(self, job: Object) -> None:
        reference = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        pod = await self._pod(f"{job['metadata']['name']}-x", job, reference)
        digest = report.digest_of(REPORT)
        ended = {
            "exitCode": 0,
            "reason": "Completed",
            "message": json.dumps({"sha256": digest}),
            "containerID": "c://x",
        }
        await self._set(pod, phase="Succeeded", containerStatuses=[_container("trial", {"terminated": ended})])
        now = job["metadata"]["creationTimestamp"]
        done = [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")
        ]
        job["status"] = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": done}
        await self.cluster.write_status(job)

    async def _pod_of(self, deployment: Object, number: int, *, ready: bool) -> Object:
        name = f"{deployment['metadata']['name']}-{HASH}-{number}"
        known = await self.cluster.get("Pod", self.key.namespace, name)
        if known is not None:
            return known
        made = {"kind": "ReplicaSet", "name": f"{deployment['metadata']['name']}-{HASH}", "uid": str(uuid.uuid4())}
        pod = await self._pod(name, deployment, made, **{"pod-template-hash": HASH})
        address = f"198.19.1.{number + 1}"
        return await self._set(
            pod,
            phase="Running",
            podIP=address,
            podIPs=[{"ip": address}],
            startTime=pod["metadata"]["creationTimestamp"],
            conditions=[{"type": "Ready", "status": str(ready)}],
            containerStatuses=[_container("server", {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}})],
        )

    async def _set(self, pod: Object, **status: Any) -> Object:
        return await self.cluster.write_status({**pod, "status": {**pod["status"], **status}})


def _container(name: str, state: Object) -> Object:
    return {"name": name, "image": IMAGE, "imageID": "", "ready": True, "restartCount": 0, "state": state}


def _is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def _endpoint(pod: Object, number: int, *, ready: bool) -> Object:
    meta = pod["metadata"]
    target = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    return {"addresses": [f"198.19.1.{number + 1}"], "conditions": {"ready": ready}, "targetRef": target}


def _slice(service: Object, ends: list[Object]) -> Object:
    meta = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": meta["namespace"],
            "name": f"{meta['name']}-x",
            "labels": {**meta["labels"], "kubernetes.io/service-name": meta["name"]},
        },
        "addressType": "IPv4",
        "endpoints": ends,
    }


class Copies:
    """Copies of one object with all its children, under other names."""

    def __init__(self, cluster: kubernetes.KubernetesCluster, owner: Object, children: list[Object]) -> None:
        self._cluster = cluster
        self._owner = owner
        self._children = children

    @classmethod
    async def of(cls, stage: Stage) -> Copies:
        owner = await stage.cluster.get("ModelDeployment", stage.key.namespace, stage.key.name)
        assert owner is not None
        owned = [
            one
            for kind in KINDS
            for one in await stage.cluster.list(kind, stage.key.namespace, {MODEL: stage.key.name})
        ]
        return cls(stage.cluster, owner, owned)

    async def make(self, names: Iterable[tuple[str, str]]) -> None:
        limit = asyncio.Semaphore(PARALLEL)

        async def one(namespace: str, name: str) -> None:
            async with limit:
                await self._make(namespace, name)

        await asyncio.gather(*(one(*name) for name in names))

    async def _make(self, namespace: str, name: str) -> None:
        """Children first, as far as uids allow: an operator that runs meets an object that is at rest."""
        uids: dict[str, str] = {}
        made = await self._copy(self._owner, namespace, name, uids)
        made["status"] = self._renamed(self._owner["status"], namespace, name, uids)
        for child in self._children:
            copy = await self._copy(child, namespace, name, uids)
            if child["kind"] in ("Pod", "Job"):
                copy["status"] = child["status"]
                await self._cluster.write_status(copy)
        await self._cluster.write_status(made)

    async def _copy(self, raw: Object, namespace: str, name: str, uids: dict[str, str]) -> Object:
        copy: Object = self._renamed(raw, namespace, name, uids)
        meta = copy["metadata"]
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
            meta.pop(field, None)
        copy.pop("status", None)
        if copy["kind"] == "Service":
            copy["spec"] = {field: copy["spec"][field] for field in ("selector", "ports")}
        if copy["kind"] == "Job":
            for labels in (copy["spec"]["template"]["metadata"]["labels"], copy["spec"].pop("selector", {})):
                for field in [one for one in labels if one.endswith(("controller-uid", "job-name"))]:
                    del labels[field]
        ours = copy["kind"] not in ("ModelDeployment", "Pod", "EndpointSlice")
        made = await (self._cluster.apply(copy) if ours else self._cluster.create(copy))
        uids[raw["metadata"]["uid"]] = made["metadata"]["uid"]
        return made

    def _renamed(self, raw: Any, namespace: str, name: str, uids: dict[str, str]) -> Any:
        text = json.dumps(raw).replace(PATTERN, name)
        text = text.replace(json.dumps(self._owner["metadata"]["namespace"]), json.dumps(namespace))
        for old, new in uids.items():
            text = text.replace(old, new)
        return json.loads(text)
