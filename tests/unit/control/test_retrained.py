"""The real reconciler trains: killed after each of its writes it makes one Job, and comes to the same end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.control import cluster as clusters
from tests.unit.control import remembered
from tests.unit.rollout import trainer

from seatrial.cluster import access, errors
from seatrial.rollout import names

CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"namespace": "shop", "name": "churn-train", "labels": {names.FOR_MODELS: "true"}},
    "spec": {"schedule": "@yearly", "suspend": True, "jobTemplate": trainer.JOB_TEMPLATE},
}


def wish(version: str) -> dict[str, Any]:
    retraining = {"cronJob": "churn-train", "uriPrefix": trainer.PREFIX}
    return {**clusters.spec(version), "retraining": retraining}


class Cluster(clusters.Cluster):
    """Training Jobs end with a result; what the operator creates counts as a write."""

    made = 0

    def __init__(self, version: str = "1") -> None:
        super().__init__(version, wish=wish)
        self.memory._store(json.loads(json.dumps(CRON_JOB)))

    @property
    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.memory.objects["CronJob", "shop", "churn-train"]
        return found

    def _before(self, method: str) -> None:
        super()._before("apply" if method == "create" else method)

    def _end_trials(self) -> None:
        for job in self.of("Job"):
            number = job["metadata"]["labels"].get(names.TRAINING)
            if number and "status" not in job:
                job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
                pod = self._pod(job["metadata"]["name"], job, job["spec"]["template"])
                state = {"terminated": {"exitCode": 0, "message": trainer.message("a")}}
                pod["status"] = {"phase": "Succeeded", "containerStatuses": [{"name": "train", "state": state}]}
                self.made += 1
        super()._end_trials()

    def annotate(self, **tokens: str) -> None:
        meta = self.object["metadata"]
        meta["annotations"] = {**meta.get("annotations", {}), **{names.command(one): tokens[one] for one in tokens}}

    @property
    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.status.get("retraining", {}).get("runs", [])
        return found


class Watched(Cluster, remembered.Watched):
    """The same, with an operator that reads from memory."""


async def trained(crash_at: int | None = None) -> Cluster:
    """From version 1 to version a, made by a run."""
    cluster = Cluster()
    await cluster.until_serving("1")
    spec = json.dumps(cluster.object["spec"])
    cluster.writes.clear()
    cluster.crash_at = crash_at
    cluster.annotate(retrain="one")
    for _ in range(80):
        await cluster.step()
        if "offered" in cluster.status.get("trained", {}):
            cluster.annotate(adopt="a/yes")
        if cluster.serves("a"):
            break
    assert cluster.serves("a"), cluster.status
    assert json.dumps(cluster.object["spec"]) == spec
    return cluster


async def test_a_trained_version_comes_to_serve_and_no_byte_of_spec_is_written():
    cluster = await trained()
    assert [one["outcome"] for one in cluster.runs] == ["Promoted"]
    assert cluster.status["trained"]["current"]["version"] == "a"
    assert cluster.condition("Retraining")[:2] == ("False", "RetrainingIdle")
    assert cluster.made == 1


async def test_an_operator_that_dies_after_any_write_trains_once_and_comes_to_the_same_end():
    writes = len((await trained()).writes)
    assert writes > 10
    for place in range(writes):
        cluster = await trained(crash_at=place)
        assert ([one["outcome"] for one in cluster.runs], cluster.made) == (["Promoted"], 1), place


async def test_a_refused_job_is_a_failed_run_in_the_apis_words_and_nothing_stalls():
    cluster = Cluster()
    await cluster.until_serving("1")

    def quota(wanted: access.Object) -> None:
        if wanted["kind"] == "Job":
            raise errors.Refused(403, reason="Forbidden", message="exceeded quota: jobs.batch")

    cluster.memory.admit = quota
    cluster.annotate(retrain="one")
    for _ in range(3):
        await cluster.step()
    assert [one["outcome"] for one in cluster.runs] == ["Failed"]
    assert "exceeded quota" in cluster.condition("Retraining")[2]
    assert (cluster.condition("Ready")[0], cluster.condition("Stalled")[0]) == ("True", "False")


async def test_a_cron_job_that_may_not_be_read_is_said(monkeypatch: pytest.MonkeyPatch):
    cluster = Cluster()
    await cluster.until_serving("1")
    before = cluster.memory.get

    async def forbidden(kind: str, namespace: str, name: str) -> access.Object | None:
        if kind == "CronJob":
            raise errors.Refused(403, reason="Forbidden", message="cronjobs.batch is forbidden")
        return await before(kind, namespace, name)

    monkeypatch.setattr(cluster.memory, "get", forbidden)
    await cluster.step()
    assert "cronjobs.batch is forbidden" in cluster.condition("Retraining")[2]
    assert cluster.condition("Ready")[0] == "True"


async def at_rest() -> Watched:
    cluster = await Watched().until_serving("1")
    for _ in range(3):
        await cluster.step()
    return cluster


async def test_an_object_that_retrains_makes_no_request_at_rest():
    cluster = await at_rest()
    asked = cluster.requests()
    await cluster.step()
    assert asked == []
    assert cluster.condition("Retraining")[:2] == ("False", "RetrainingIdle")


async def test_a_template_that_is_not_watched_is_asked_for_each_time():
    cluster = await at_rest()
    cluster.seen.sweep("CronJob", cluster.seen.versions("CronJob", None), [])
    asked = cluster.requests()
    await cluster.step()
    assert asked == ["get"]
    assert cluster.condition("Retraining")[:2] == ("False", "RetrainingIdle")


async def test_a_run_is_made_from_the_template_of_now_whatever_the_watch_has_told():
    cluster = await at_rest()
    cluster.late = 9
    container = cluster.template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "train:now"
    cluster.annotate(retrain="one")
    cluster.tell_of_the_object()
    await cluster.reconciler.reconcile(clusters.KEY)
    [job] = [one for one in cluster.of("Job") if names.TRAINING in one["metadata"]["labels"]]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "train:now"


async def test_a_job_that_was_not_made_yet_is_made_from_the_template_of_now():
    """The operator died after it had written that a run begins."""
    cluster = await at_rest()
    cluster.annotate(retrain="one")
    cluster.live()
    cluster.crash_at = len(cluster.writes) + 1
    with pytest.raises(clusters.Crash):
        await cluster.reconciler.reconcile(clusters.KEY)
    cluster.template["spec"]["suspend"] = False
    cluster.late = 9
    await cluster.reconciler.reconcile(clusters.KEY)
    assert [one for one in cluster.of("Job") if names.TRAINING in one["metadata"]["labels"]] == []
    assert "must have suspend: true" in cluster.runs[0]["message"]
