"""What is kept in memory of pods, Jobs and templates reads as the API server's own: decisions are made on the one, and
the others on the other.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.rollout import trainer

from seatrial.cluster import trimming
from seatrial.control import health, reading, training
from seatrial.rollout import names

MOMENT = "2026-01-01T12:00:00Z"
WORDS = ["", "no room", json.dumps({"error": "no", "retryable": True}), json.dumps({"sha256": "5e"})]
REASONS = ["PodInitializing", "ContainerCreating", "CrashLoopBackOff", "ImagePullBackOff", "CreateContainerConfigError"]


def some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these fields, of which any may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


WORD = st.sampled_from(WORDS)
TERMINATED = st.fixed_dictionaries(
    {"exitCode": st.sampled_from([0, 1, 137]), "reason": st.sampled_from(["Error", "OOMKilled", "Completed"])},
    optional={"message": WORD, "startedAt": st.just(MOMENT)},
)
WAITING = st.fixed_dictionaries({"reason": st.sampled_from(REASONS)}, optional={"message": WORD})
STATE = st.one_of(
    st.just({}),
    st.builds(lambda one: {"terminated": one}, TERMINATED),
    st.builds(lambda one: {"waiting": one}, WAITING),
    st.just({"running": {"startedAt": MOMENT}}),
)
NAMES = ("fetch", "prepare", "server", "trial", "sidecar")


def container(name: str) -> st.SearchStrategy[dict[str, Any]]:
    again = some(restartCount=st.just(0)) | st.fixed_dictionaries(
        {"restartCount": st.integers(1, 5), "lastState": st.builds(lambda one: {"terminated": one}, TERMINATED)}
    )
    return st.builds(
        lambda state, again_, ready: {"name": name, "state": state, "ready": ready, "image": "x", **again_},
        STATE,
        again,
        st.booleans(),
    )


CONTAINERS = st.tuples(*(st.none() | container(name) for name in NAMES)).map(
    lambda found: [one for one in found if one]
)
CONDITIONS = st.tuples(
    *(
        st.none()
        | st.fixed_dictionaries(
            {"type": st.just(kind), "status": st.sampled_from(["True", "False", "Unknown"])},
            optional={"reason": st.just("Why"), "message": WORD, "lastTransitionTime": st.just(MOMENT)},
        )
        for kind in ("Initialized", "Ready", "PodScheduled", "Complete", "Failed", "Suspended")
    )
).map(lambda found: [one for one in found if one])
STATUS = some(
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
    reason=st.sampled_from(["Evicted", "NodeLost"]),
    message=WORD,
    podIP=st.just("10.0.0.1"),
    startTime=st.just(MOMENT),
    conditions=CONDITIONS,
    initContainerStatuses=CONTAINERS,
    containerStatuses=CONTAINERS,
)
META = st.builds(
    lambda more: {"name": "p", "namespace": "shop", "uid": "u", "creationTimestamp": MOMENT, **more},
    some(
        labels=st.just({names.REVISION: "r", names.TRAINING: "1"}),
        annotations=st.just({names.RELAY: "{}", names.CONTAINER: "trial"}),
        deletionTimestamp=st.just(MOMENT),
        managedFields=st.just([{}]),
        ownerReferences=st.just([{"kind": "Job", "name": "j", "uid": "job", "controller": True}]),
    ),
)
POD = st.builds(lambda meta, status: {"metadata": meta, "spec": {}, "status": status}, META, STATUS)


ALIVE = {"name": "server", "state": {"running": {}}, "ready": True}
LOST = {
    "metadata": {"name": "p", "namespace": "shop", "uid": "u", "creationTimestamp": MOMENT},
    "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "containerStatuses": [ALIVE]},
}


@settings(max_examples=60)
@given(pod=POD)
@example(pod=LOST)
def test_a_pod_in_memory_reads_as_the_pod_itself(pod: dict[str, Any]) -> None:
    kept = trimming.trim("Pod", pod)
    assert reading.pod(kept) == reading.pod(pod)
    assert health.ending(kept) == health.ending(pod)
    assert health.server_of(kept, "churn") == health.server_of(pod, "churn")


@settings(max_examples=40)
@given(pod=POD, conditions=CONDITIONS)
def test_a_job_in_memory_reads_as_the_job_itself(pod: dict[str, Any], conditions: list[dict[str, Any]]) -> None:
    containers = [{"name": "trial"}]
    job = {
        "metadata": {
            **pod["metadata"],
            "uid": "job",
            "labels": {names.TRAINING: "1"},
            "annotations": {names.ATTEMPT: "2", names.CONTAINER: "trial"},
        },
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"conditions": conditions, "active": 1},
    }
    kept = trimming.trim("Job", job)
    assert (reading.job(kept), reading.ended(kept)) == (reading.job(job), reading.ended(job))
    assert reading.attempt(kept) == reading.attempt(job) == 2
    assert training.jobs([kept], [trimming.trim("Pod", pod)]) == training.jobs([job], [pod])


@pytest.mark.parametrize("changed", [{}, {"suspend": False}, {"suspend": None}, {"jobTemplate": {"spec": {}}}], ids=str)
def test_a_template_in_memory_reads_as_the_cron_job_itself(changed: dict[str, Any]) -> None:
    meta = {"name": "train", "namespace": "shop", "labels": {names.FOR_MODELS: "true"}}
    spec = {"schedule": "@yearly", "suspend": True, "jobTemplate": trainer.JOB_TEMPLATE, **changed}
    cron_job = {"metadata": meta, "spec": spec, "status": {"lastScheduleTime": MOMENT}}
    kept = trimming.trim("CronJob", cron_job)
    assert training.template(kept, "train") == training.template(cron_job, "train")
    assert kept == trimming.trim("CronJob", {**cron_job, "status": {}}), "a run by its own schedule is no news"
