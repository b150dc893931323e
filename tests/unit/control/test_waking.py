"""Which change wakes whom, how soon, and in which lane."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster import store
from seatrial.control import waking
from seatrial.control.queue import Key, Lane

CHURN = Key("shop", "churn")


def change(kind: str, before: Any, after: Any) -> store.Change:
    return store.Change(kind, "shop", "churn-x", "churn", before, after)


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "churn-x"}, "status": status}


def ready(value: str) -> dict[str, Any]:
    return pod(conditions=[{"type": "Ready", "status": value}])


def server(**fields: Any) -> dict[str, Any]:
    return pod(containerStatuses=[{"name": "server", "state": {}, **fields}])


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        pytest.param(ready("False"), ready("True"), 0.0, id="ready"),
        pytest.param(ready("True"), ready("False"), 0.0, id="no longer ready"),
        pytest.param(server(), server(restartCount=1), 0.0, id="restarted"),
        pytest.param(ready("True"), pod(phase="Failed"), 0.0, id="evicted"),
        pytest.param(None, pod(), waking.SOON, id="new"),
        pytest.param(pod(), None, waking.SOON, id="gone"),
        pytest.param(pod(), pod(startTime="2026-01-01T12:00:00Z"), waking.WITH_COMPANY, id="on a node"),
        pytest.param(pod(), pod(podIP="10.0.0.1"), waking.WITH_COMPANY, id="has an address"),
    ],
)
def test_a_pod_is_looked_at_at_once_only_when_traffic_depends_on_it(before: Any, after: Any, seconds: float) -> None:
    assert waking.wake(change("Pod", before, after)) == waking.Wake(CHURN, after=seconds)


@pytest.mark.parametrize(
    ("raw", "lane"),
    [
        pytest.param({"metadata": {"generation": 1}}, Lane.OTHER, id="new"),
        pytest.param({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}}, Lane.OTHER, id="annotated"),
        pytest.param({"metadata": {"generation": 3}, "status": {"observedGeneration": 2}}, Lane.CHANGED, id="changed"),
        pytest.param(
            {"metadata": {"generation": 3}, "status": {"observedGeneration": 2, "candidate": {}}},
            Lane.ROLLOUT,
            id="changed during a rollout",
        ),
        pytest.param(None, Lane.OTHER, id="gone"),
    ],
)
def test_the_object_itself_is_looked_at_at_once_in_the_lane_of_its_state(raw: Any, lane: Lane) -> None:
    assert waking.wake(change("ModelDeployment", {}, raw)) == waking.Wake(CHURN, lane=lane)


def test_other_children_wait_a_moment_for_company() -> None:
    assert waking.wake(change("Deployment", None, {})).after == waking.SOON


def naming(template: str | None, *, version: int = 1, name: str = "churn") -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"retraining": {"cronJob": template}} if template else {}}


def woken(seen: store.Store, template: str) -> list[str]:
    changed = store.Change("CronJob", "shop", template, template, None, {})
    return [one.key.name for one in waking.wakes(changed, seen)]


def test_a_template_wakes_everyone_who_names_it_and_nobody_who_no_longer_does() -> None:
    seen = store.Store(waking.owner_of)
    for name, template in (("churn", "train"), ("fraud", "train"), ("other", "another"), ("none", None)):
        seen.put("ModelDeployment", naming(template, name=name))
    assert woken(seen, "train") == ["churn", "fraud"]
    seen.put("ModelDeployment", naming("another", version=2))
    seen.drop("ModelDeployment", naming("train", version=2, name="fraud"))
    assert (woken(seen, "train"), woken(seen, "another")) == ([], ["churn", "other"])


@pytest.mark.parametrize("retraining", [None, [], "train", {}, {"cronJob": None}])
def test_a_spec_that_nobody_can_read_ends_no_watch(retraining: Any) -> None:
    seen = store.Store(waking.owner_of)
    assert seen.put("ModelDeployment", {**naming(None), "spec": {"retraining": retraining}}) is not None


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/modeldeployment": "churn"}, "churn"),
        ({"app.kubernetes.io/managed-by": "helm", "seatrial.dev/modeldeployment": "churn"}, ""),
        ({"app.kubernetes.io/managed-by": "seatrial"}, ""),
        (None, ""),
    ],
    ids=["ours", "managed by another", "evidence, which nobody watches", "no labels"],
)
def test_a_child_belongs_to_whom_its_labels_name(labels: Any, owner: str) -> None:
    assert waking.owner_of("ConfigMap", {"metadata": {"name": "x", "labels": labels}}) == owner
