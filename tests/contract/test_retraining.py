"""Retraining against the real API server: the Job that it takes as rendered, the result that a pod leaves, the way in.

There is no node: what kubelets would do is done by hand, what the Job controller does is done by it.
"""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from tests.bench import crowd
from tests.cluster.harness import apiserver
from tests.contract import quotas
from tests.contract import test_reconcile_apiserver as reconciled
from tests.contract.eventually import eventually

from seatrial.cluster import events, kubernetes
from seatrial.control import reconcile, telemetry

pytestmark = pytest.mark.apiserver

SOAK = datetime.timedelta(seconds=1)
PREFIX = "oci://registry.example.com/churn"
RESULT = {"uri": f"{PREFIX}:8", "sha256": "8" * 64, "version": "8", "data": {"sha256": "d" * 64, "rows": 120000}}
RETRAINING = {"cronJob": "churn-train", "uriPrefix": PREFIX}
SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def cron_job(**spec: Any) -> dict[str, Any]:
    container = {"name": "train", "image": "registry.example.com/churn-train:3", "securityContext": SECURE}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "churn-train", "labels": {"seatrial.dev/for-models": "true"}},
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
            **spec,
        },
    }


class Scene(reconciled.Scene):
    """With what people and nodes do about training."""

    def apply(self, *objects: dict[str, Any]) -> None:
        for one in objects:
            self.api.kubectl("apply", "-n", self.namespace, "-f", "-", input=json.dumps(one))

    def tell(self, command: str, token: str) -> None:
        self.kubectl("annotate", "modeldeployment", "churn", f"seatrial.dev/{command}={token}", "--overwrite")

    def wish(self) -> str:
        """The spec, byte for byte."""
        return self.kubectl("get", "modeldeployment", "churn", "-o", "jsonpath={.metadata.generation} {.spec}")

    def condition(self, kind: str) -> tuple[str, str, str]:
        said = next(one for one in self.status()["conditions"] if one["type"] == kind)
        return said["status"], said["reason"], said["message"]

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.status().get("retraining", {}).get("runs", [])
        return found

    async def serve(self) -> None:
        """Version 7 serves, and its soak is over."""
        await self.settle()
        await self.pass_the_trial()
        await eventually(self._stable, what="version 7 stable", seconds=120)
        await eventually(self._soaked, what="the end of its soak", seconds=60)

    async def _stable(self) -> bool:
        await self.settle()
        if self.status().get("phase") != "Stable" and len(self.listed("pods", *reconciled.SERVERS)) == 2:
            self.start_pods(2)
        return self.status().get("phase") == "Stable"

    async def _soaked(self) -> bool:
        """By the operator's clock, which is the API server's and up to a second behind this one."""
        since = datetime.datetime.fromisoformat(self.status()["stable"]["since"])
        return self.cluster.server_now() - since >= SOAK

    async def end_the_run(self, message: str, *, exit_code: int = 0) -> None:
        """What a node would do: the training pod ends with this termination message. The controller ends the Job."""
        await eventually(self._training_pods, what="the run's pod", seconds=120)
        [pod] = await self._training_pods()
        ended = {"terminated": {"exitCode": exit_code, "message": message, "containerID": "c://t"}}
        container = {"name": "train", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": ended}
        state = {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [container]}
        name = pod["metadata"]["name"]
        self.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": state}))
        await eventually(self._ended, what="the run's result", seconds=120)

    async def _training_pods(self) -> list[dict[str, Any]]:
        return self.listed("pods", "-l", "app.kubernetes.io/component=training")

    async def _ended(self) -> bool:
        """Running is what is left out of status."""
        await self.settle()
        return "outcome" in self.runs()[0]


@pytest.fixture
def scene(shop: apiserver.ApiServer, cluster: kubernetes.KubernetesCluster) -> Iterator[Scene]:
    """An object with retraining, in a namespace that enforces the restricted standard."""
    namespace = f"trained-{secrets.token_hex(4)}"
    shop.namespace(namespace)
    shop.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    wish = json.loads(reconciled.smallest(namespace))
    wish["spec"] |= {"retraining": RETRAINING, "rollout": {"soak": f"{SOAK.seconds}s"}}
    wish["spec"]["model"]["version"] = "7"
    shop.kubectl("apply", "-f", "-", input=json.dumps(wish))
    reconciler = reconcile.Reconciler(
        cluster=reconciled.Logged(cluster._rest),
        looks=crowd.Silent(),
        reports=crowd.Silent(),
        events=events.Events(cluster, instance="operator-0", failed=lambda: None),
        telemetry=telemetry.Telemetry(),
        operator=reconciled.OPERATOR,
    )
    yield Scene(api=shop, cluster=cluster, reconciler=reconciler, namespace=namespace)
    shop.kubectl("delete", "modeldeployments,configmaps,cronjobs", "-n", namespace, "--all")
    shop.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_from_the_retrain_command_to_the_trial_of_version_8_without_a_byte_of_spec_written(scene: Scene) -> None:
    scene.apply(cron_job())
    await scene.serve()
    before = scene.wish()
    scene.tell("retrain", "one")
    await scene.settle()
    [job] = scene.listed("jobs", "-l", "seatrial.dev/training=1")
    assert job["metadata"]["name"] == "churn-train-1"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"
    assert (job["spec"]["ttlSecondsAfterFinished"], job["spec"]["activeDeadlineSeconds"]) == (604800, 21600)
    environment = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (environment["SEATRIAL_RUN"], environment["SEATRIAL_PARENT_VERSION"]) == ("1", "7")
    assert scene.condition("Retraining")[:2] == ("True", "RetrainingStarted")

    await scene.end_the_run(json.dumps(RESULT))
    assert scene.status()["trained"]["offered"]["version"] == "8"
    assert scene.condition("Retraining")[:2] == ("True", "WaitingForApproval")
    assert scene.condition("Ready")[0] == "True"
    await scene.assert_at_rest()

    scene.tell("adopt", "8/approved")
    await scene.settle()
    assert scene.status()["candidate"]["modelVersion"] == "8"
    [trial] = scene.listed("jobs", "-l", f"seatrial.dev/revision={scene.status()['candidate']['revision']}")
    assert RESULT["uri"] in json.dumps(trial["spec"])
    assert scene.wish() == before

    scene.kubectl(
        "patch", "modeldeployment", "churn", "--type=merge", "-p", json.dumps({"spec": {"model": {"version": "7b"}}})
    )
    await scene.settle()
    assert "trained" not in scene.status()
    assert scene.status()["candidate"]["modelVersion"] == "7b"


async def test_a_template_that_is_missing_or_not_suspended_is_said_and_costs_no_attempt(scene: Scene) -> None:
    await scene.serve()
    assert scene.condition("Retraining")[1:] == (
        "RetrainingFailed",
        "CronJob churn-train, which spec.retraining.cronJob names, does not exist",
    )
    scene.apply(cron_job(suspend=False))
    scene.tell("retrain", "one")
    await scene.settle()
    assert "must have suspend: true" in scene.condition("Retraining")[2]
    assert (scene.runs(), scene.condition("Ready")[0]) == ([], "True")
    scene.apply(cron_job())
    await scene.settle()
    assert scene.runs()[0]["number"] == 1


async def test_a_job_that_a_quota_refuses_is_a_failed_run_in_its_words_and_the_model_serves(scene: Scene) -> None:
    scene.apply(cron_job())
    await scene.serve()
    scene.kubectl("create", "quota", "tight", "--hard=count/jobs.batch=1")
    quotas.until_refused(scene.api, scene.namespace, quotas.JOB)
    scene.tell("retrain", "one")
    await scene.settle()
    assert scene.runs()[0]["outcome"] == "Failed"
    assert "exceeded quota" in scene.condition("Retraining")[2]
    assert (scene.condition("Ready")[0], scene.condition("Stalled")[0]) == ("True", "False")


@pytest.mark.parametrize(
    ("message", "exit_code", "words"),
    [
        ("trained!", 0, "can't be read"),
        (json.dumps({**RESULT, "uri": f"{PREFIX}-of-others:8"}), 0, "must begin with spec.retraining.uriPrefix"),
        (json.dumps({**RESULT, "sha256": reconciled.MODEL["sha256"]}), 0, "no new model"),
        ("", 0, "without a result"),
        ("no labels", 3, "no labels"),
    ],
    ids=["garbage", "another place", "the bytes of stable", "silence", "failure"],
)
async def test_what_is_no_result_is_a_failed_run(scene: Scene, message: str, exit_code: int, words: str) -> None:
    scene.apply(cron_job())
    await scene.serve()
    scene.tell("retrain", "one")
    await scene.settle()
    await scene.end_the_run(message, exit_code=exit_code)
    assert scene.runs()[0]["outcome"] == "Failed"
    assert words in scene.condition("Retraining")[2]
    assert "trained" not in scene.status()
    await scene.assert_at_rest()


async def test_a_job_of_that_name_that_is_somebody_elses_is_left_alone(scene: Scene) -> None:
    scene.apply(cron_job())
    await scene.serve()
    pod = cron_job()["spec"]["jobTemplate"]["spec"]["template"]
    scene.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "churn-train-1"},
            "spec": {"suspend": True, "template": pod},
        }
    )
    scene.tell("retrain", "one")
    await scene.settle()
    assert "belongs to somebody else" in scene.condition("Retraining")[2]
    [theirs] = scene.listed("jobs", "--field-selector=metadata.name=churn-train-1")
    assert "labels" not in theirs["metadata"] or "seatrial.dev/training" not in theirs["metadata"]["labels"]
