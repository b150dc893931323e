"""Facts from the API's JSON, as clusters really send it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from seatrial.api import spec
from seatrial.cluster import trimming
from seatrial.control import health, reading
from seatrial.rollout import facts, report

LABELS = {
    "seatrial.dev/modeldeployment": "churn",
    "seatrial.dev/revision": "bcdfghjklm",
    "app.kubernetes.io/component": "server",
}
RUNNING = {"running": {"startedAt": "2026-01-01T12:00:10Z"}}
READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}


def container(name: str, state: dict[str, Any], *, last: dict[str, Any] | None = None, restarts: int = 0) -> Any:
    return {"name": name, "state": state, "lastState": last or {}, "restartCount": restarts, "ready": False}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **({"message": message} if message else {})}}


def pod(
    *containers: Any, init: tuple[Any, ...] = (), conditions: tuple[Any, ...] = (UNREADY,), **metadata: object
) -> dict[str, Any]:
    return {
        "metadata": {"name": "churn-1", "labels": LABELS, "creationTimestamp": "2026-01-01T12:00:00Z", **metadata},
        "status": {
            "phase": "Pending",
            "startTime": "2026-01-01T12:00:01Z",
            "conditions": list(conditions),
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
        },
    }


def test_a_ready_pod():
    seen = reading.pod(pod(container("server", RUNNING), conditions=(READY,)))
    assert (seen.name, seen.revision, seen.ready, seen.leaving, seen.trouble) == (
        "churn-1",
        "bcdfghjklm",
        True,
        False,
        "",
    )
    assert seen.started_at is not None


def test_a_pod_that_was_just_created_has_no_status_to_speak_of():
    seen = reading.pod({"metadata": {"name": "churn-1", "labels": LABELS}, "status": {"phase": "Pending"}})
    assert seen == facts.Pod(name="churn-1", revision="bcdfghjklm")


def test_a_terminating_pod_is_leaving_even_while_it_is_ready():
    seen = reading.pod(pod(container("server", RUNNING), conditions=(READY,), deletionTimestamp="2026-01-01T12:01:00Z"))
    assert (seen.ready, seen.leaving) == (True, True)


CRASH = waiting("CrashLoopBackOff", "back-off 40s restarting failed container=server pod=churn-1")


@pytest.mark.parametrize(
    ("raw", "trouble"),
    [
        pytest.param(
            pod(container("server", waiting("ImagePullBackOff", 'Back-off pulling image "serving:9"'))),
            'server: ImagePullBackOff: Back-off pulling image "serving:9"',
            id="image",
        ),
        pytest.param(
            pod(container("server", CRASH, last=terminated(137, "OOMKilled"), restarts=3)),
            "server: OOMKilled (exit code 137)",
            id="out of memory",
        ),
        pytest.param(
            pod(container("server", CRASH, last=terminated(1, message="Traceback: no such file\n"), restarts=3)),
            "server: Traceback: no such file (exit code 1)",
            id="words of another program",
        ),
        pytest.param(
            pod(
                container("server", waiting("PodInitializing")),
                init=(
                    container("fetch", terminated(1, message='{"error": "http://store/7: answered 404"}')),
                    container("prepare", waiting("PodInitializing")),
                ),
            ),
            "fetch: http://store/7: answered 404 (exit code 1)",
            id="init container's own words",
        ),
        pytest.param(
            pod(init=(container("fetch", terminated(0, "Completed")), container("prepare", RUNNING))),
            "",
            id="on its way",
        ),
        pytest.param(
            pod(conditions=({"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."},)),
            "0/1 nodes: Insufficient cpu.",
            id="unschedulable",
        ),
        pytest.param(
            pod(container("server", waiting("CreateContainerConfigError", 'configmap "churn-x" not found'))),
            'server: CreateContainerConfigError: configmap "churn-x" not found',
            id="configuration",
        ),
        pytest.param(
            pod(container("server", terminated(2, message="[" * 5000))),
            f"server: {'[' * 5000} (exit code 2)",
            id="a message that is hard to parse",
        ),
        pytest.param(
            pod(container("server", terminated(2, message='{"error": 7}'))), "server: 7 (exit code 2)", id="number"
        ),
    ],
)
def test_a_pod_tells_its_trouble_in_its_own_words(raw, trouble):
    assert reading.pod(raw).trouble == trouble


@pytest.mark.parametrize(
    ("raw", "looping"),
    [
        pytest.param(pod(container("server", CRASH, restarts=2)), True, id="server"),
        pytest.param(pod(container("server", CRASH, restarts=1)), False, id="stumbled once"),
        pytest.param(pod(container("server", RUNNING, restarts=9)), False, id="runs again"),
        pytest.param(pod(container("server", waiting("ImagePullBackOff"), restarts=9)), False, id="another trouble"),
        pytest.param(pod(container("mesh", CRASH, restarts=9), container("server", RUNNING)), False, id="sidecar"),
        pytest.param(pod(init=(container("fetch", CRASH, restarts=9),)), False, id="init container"),
    ],
)
def test_crash_loops_of_the_server_are_believed_after_the_second_crash(raw, looping):
    assert reading.pod(raw).crash_looping is looping


STORE_AWAY = terminated(1, message='{"error": "http://store/7: answered 503", "retryable": true}')
OTHER_BYTES = terminated(1, message='{"error": "the bytes are others", "retryable": false}')


@pytest.mark.parametrize("last", [terminated(1), STORE_AWAY], ids=["silent", "said so"])
def test_a_store_that_does_not_answer_is_not_the_versions_fault(last):
    seen = reading.pod(pod(init=(container("fetch", CRASH, last=last, restarts=7),)))
    assert (seen.crash_looping, seen.fault) == (False, facts.Fault.SURROUNDINGS)


def test_an_init_container_that_succeeded_at_last_is_no_trouble():
    seen = reading.pod(pod(init=(container("fetch", terminated(0, "Completed"), last=STORE_AWAY, restarts=1),)))
    assert (seen.fault, seen.trouble) == (None, "")


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        pytest.param(pod(container("server", CRASH, last=terminated(139), restarts=1)), "Version", id="crash"),
        pytest.param(pod(container("server", terminated(137, "OOMKilled"))), "Version", id="out of memory"),
        pytest.param(pod(container("server", RUNNING)), "Version", id="runs, and its probe says no"),
        pytest.param(
            pod({**container("server", RUNNING), "ready": True}), "Surroundings", id="its node is lost, not its probe"
        ),
        pytest.param(pod(init=(container("prepare", terminated(1)),)), "Version", id="prepare"),
        pytest.param(pod(init=(container("fetch", OTHER_BYTES),)), "Version", id="other bytes"),
        pytest.param(pod(container("server", waiting("InvalidImageName", "a b"))), "Version", id="image name"),
        pytest.param(
            pod(container("server", waiting("ErrImagePull", "serving:9: not found"))), "Version", id="no such image"
        ),
        pytest.param(
            pod(container("server", waiting("ErrImagePull", "503 Service Unavailable"))), "Unknown", id="registry away"
        ),
        pytest.param(
            pod(container("server", waiting("CreateContainerConfigError", "configmap not found"))),
            "Surroundings",
            id="configuration missing",
        ),
        pytest.param(
            pod(conditions=({"type": "PodScheduled", "status": "False", "message": "no room"},)),
            "Surroundings",
            id="no room",
        ),
        pytest.param(
            pod(container("server", terminated(137, "ContainerStatusUnknown"))), "Surroundings", id="lost by its node"
        ),
        pytest.param(pod(container("mesh", terminated(1))), "Unknown", id="sidecar"),
        pytest.param(pod(init=(container("fetch", RUNNING),)), None, id="on its way"),
        pytest.param(pod(container("server", RUNNING), conditions=(READY,)), None, id="ready"),
    ],
)
def test_whose_fault_it_is_that_a_pod_is_not_ready(raw, fault):
    assert reading.pod(raw).fault == fault


def test_a_pod_without_a_node_quotes_the_scheduler():
    words = "0/3 nodes are available: 3 Insufficient cpu."
    seen = reading.pod(pod(conditions=({"type": "PodScheduled", "status": "False", "message": words},)))
    assert seen.trouble == words


def test_a_pod_whose_image_cannot_be_had_quotes_the_kubelet():
    seen = reading.pod(pod(container("server", waiting("ImagePullBackOff", "Back-off"))))
    assert seen.trouble == "server: ImagePullBackOff: Back-off"


def ended(phase: str, **status: Any) -> dict[str, Any]:
    raw = pod(container("server", RUNNING), conditions=(READY,))
    raw["status"] |= {"phase": phase, **status}
    return raw


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_ended_for_good_never_counts_whatever_its_conditions_still_say(phase):
    seen = reading.pod(ended(phase))
    assert (seen.failed, seen.leaving, seen.ready) == (True, True, False)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        pytest.param(
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "Evicted: The node was low on resource: memory.",
            id="evicted",
        ),
        pytest.param({"reason": "NodeLost"}, "NodeLost", id="lost"),
        pytest.param({"reason": "Terminated", "message": "Pod was terminated"}, "Terminated: Pod was terminated",
                     id="node shut down"),
    ],
)  # fmt: skip
def test_what_a_node_does_to_a_pod_is_not_the_versions_fault(status, trouble):
    seen = reading.pod(ended("Failed", **status))
    assert (seen.fault, seen.trouble) == (facts.Fault.SURROUNDINGS, trouble)


def owned(kind: str, name: str, *, controller: bool = True, **labels: str) -> dict[str, Any]:
    reference = {"kind": kind, "name": name, "uid": "u", "controller": controller}
    return {
        "metadata": {
            "name": "p",
            "labels": {**LABELS, "pod-template-hash": "5d8f", **labels},
            "ownerReferences": [reference],
        }
    }


@pytest.mark.parametrize(
    ("raw", "ours"),
    [
        pytest.param(owned("ReplicaSet", "churn-bcdfghjklm-5d8f"), True, id="of our Deployment's set"),
        pytest.param({"metadata": {"name": "p", "labels": LABELS}}, False, id="nobody's"),
        pytest.param(owned("ReplicaSet", "theirs-5d8f"), False, id="of another set"),
        pytest.param(owned("ReplicaSet", "churn-bcdfghjklm-5d8f", controller=False), False, id="not controlled by it"),
        pytest.param(owned("StatefulSet", "churn-bcdfghjklm-5d8f"), False, id="of another kind"),
        pytest.param(
            owned("Job", "churn-bcdfghjklm-trial", **{"app.kubernetes.io/component": "trial"}), False, id="a trial's"
        ),
    ],
)
def test_a_pod_with_our_labels_counts_only_when_a_deployment_of_ours_made_it(raw, ours):
    assert health.server_of(raw, "churn") is ours


def test_a_deployment_quotes_what_refused_its_pods():
    words = 'pods "churn" is forbidden: exceeded quota: tight'
    refused = {"type": "ReplicaFailure", "status": "True", "message": words}
    seen = reading.deployment({"spec": {"replicas": 3}, "status": {"conditions": [refused]}})
    assert seen == facts.Deployment(replicas=3, refusal=words)
    assert reading.deployment({"spec": {"replicas": 3}}) == facts.Deployment(replicas=3)


def endpoint(name: str, **conditions: bool) -> dict[str, Any]:
    """Without a uid, as an old controller would write it."""
    return {"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}}


SERVICE = {"metadata": {"name": "churn", "uid": "s"}, "spec": {"selector": {"app": "churn"}}}
PODS = tuple(
    facts.Pod(name=f"{revision}-{number}", uid=f"uid-{revision}-{number}", revision=revision)
    for revision in "ab"
    for number in range(3)
)


def part(endpoints: list[Any] | None, *, service: str = "churn", **meta: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service, "seatrial.dev/modeldeployment": "churn"}
    return {"metadata": {"name": "x", "labels": labels, **meta}, "endpoints": endpoints}


@pytest.mark.parametrize(
    ("endpoints", "ready", "serving"),
    [
        pytest.param([endpoint("a-0", ready=True, serving=True)], {"a": 1}, {"a": 1}, id="ready"),
        pytest.param([endpoint("a-0")], {"a": 1}, {"a": 1}, id="no conditions means ready"),
        pytest.param([endpoint("a-0", ready=False, serving=False)], {}, {}, id="starting"),
        pytest.param([endpoint("a-0", ready=False, serving=True, terminating=True)], {}, {"a": 1}, id="draining"),
        pytest.param(
            [endpoint("a-0", ready=True), endpoint("b-0", ready=True)], {"a": 1, "b": 1}, {"a": 1, "b": 1}, id="both"
        ),
        pytest.param([endpoint("gone", ready=True)], {"": 1}, {"": 1}, id="a pod that isn't there any more"),
        pytest.param([{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}], {"": 1}, {"": 1}, id="no target"),
    ],
)
def test_endpoints_count_pods_by_revision(endpoints, ready, serving):
    seen = reading.endpoints(SERVICE, [part(endpoints[:1]), part(endpoints[1:])], PODS)
    assert seen == facts.Endpoints(selector={"app": "churn"}, ready=ready, serving=serving)


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(part([endpoint("b-0")], service="theirs"), id="another Service with our labels"),
        pytest.param(
            part([endpoint("b-0")], ownerReferences=[{"kind": "Service", "uid": "old"}]), id="a Service that was ours"
        ),
        pytest.param({"metadata": {"name": "x"}, "endpoints": [endpoint("b-0")]}, id="nobody's"),
    ],
)
def test_endpoints_of_another_service_do_not_count(foreign):
    own = part([endpoint("a-0")], ownerReferences=[{"kind": "Service", "uid": "s"}])
    seen = reading.endpoints(SERVICE, [foreign, own], PODS)
    assert (seen.ready, seen.serving) == ({"a": 1}, {"a": 1})


def test_an_endpoint_is_matched_by_uid_so_that_another_pod_of_the_name_is_not_taken_for_it():
    reused = endpoint("a-0")
    reused["targetRef"]["uid"] = "uid-b-1"
    seen = reading.endpoints(SERVICE, [part([reused])], PODS)
    assert seen.ready == {"b": 1}


def test_slices_may_be_empty():
    assert reading.endpoints(SERVICE, [part(None)], PODS) == facts.Endpoints(
        selector={"app": "churn"}, ready={}, serving={}
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, (facts.JobState.RUNNING, ""), id="new"),
        pytest.param({"active": 1}, (facts.JobState.RUNNING, ""), id="running"),
        pytest.param(
            {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]},
            (facts.JobState.SUCCEEDED, ""),
            id="complete",
        ),
        pytest.param(
            {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]},
            (facts.JobState.FAILED, "DeadlineExceeded: too long"),
            id="deadline",
        ),
        pytest.param(
            {"conditions": [{"type": "FailureTarget", "status": "True"}]}, (facts.JobState.RUNNING, ""), id="failing"
        ),
    ],
)
def test_the_state_of_a_job(status, expected):
    assert reading.job({"metadata": {}, "status": status}) == expected


@pytest.mark.parametrize(
    ("message", "digest", "error"),
    [
        pytest.param('{"sha256": "abc"}', "abc", "", id="digest"),
        pytest.param('{"error": "store unreachable"}', "", "store unreachable", id="error"),
        pytest.param("Killed\n", "", "Killed", id="another program"),
        pytest.param("[" * 4096, "", "[" * 4096, id="deep"),
        pytest.param('{"sha256": {"a": 1}}', "{'a': 1}", "", id="no text"),
    ],
)
def test_the_termination_message_of_a_trial(message, digest, error):
    end = health.ending(pod(container("trial", terminated(0, "Completed", message))))
    assert (end.done, end.digest, end.error) == (True, digest, error)


def test_a_trial_whose_artifact_could_not_be_fetched_tells_why():
    """The container that tests the model has not begun then."""
    told = terminated(1, "Error", '{"error": "store unreachable"}')
    end = health.ending(pod(container("trial", waiting("PodInitializing")), init=(container("fetch", told),)))
    assert (end.done, end.error) == (False, "fetch: store unreachable (exit code 1)")
    assert end.fault is facts.Fault.SURROUNDINGS


def test_a_trial_that_waits_tells_why():
    end = health.ending(pod(container("trial", waiting("ErrImagePull", "no such tag"))))
    assert (end.done, end.error) == (False, "trial: ErrImagePull: no such tag")


def test_a_trial_is_done_while_a_sidecar_that_somebody_injected_still_runs():
    raw = pod(container("mesh", RUNNING), container("trial", terminated(0, "Completed", '{"sha256": "abc"}')))
    assert health.ending(raw) == health.Ending(done=True, digest="abc")


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        pytest.param(pod(container("trial", STORE_AWAY)), "Surroundings", id="store away"),
        pytest.param(pod(container("trial", OTHER_BYTES)), "Version", id="other bytes"),
        pytest.param(pod(container("trial", terminated(1))), "Version", id="crash"),
        pytest.param(pod(init=(container("fetch", STORE_AWAY),)), "Surroundings", id="store away from its fetch"),
        pytest.param(pod(init=(container("fetch", OTHER_BYTES),)), "Version", id="other bytes in its fetch"),
        pytest.param(
            {
                "metadata": {"name": "t"},
                "status": {
                    "phase": "Failed",
                    "reason": "Evicted",
                    "containerStatuses": [container("trial", terminated(137))],
                },
            },
            "Surroundings",
            id="evicted",
        ),
        pytest.param(pod(container("trial", RUNNING)), None, id="runs"),
    ],
)
def test_whose_fault_it_is_that_a_trial_failed(raw, fault):
    assert health.ending(raw).fault == fault


def test_a_job_says_which_try_it_was_made_for():
    assert reading.attempt({"metadata": {"annotations": {"seatrial.dev/attempt": "2"}}}) == 2
    assert reading.attempt({"metadata": {}}) is None


@pytest.mark.parametrize(
    "data", [{}, {"report.json": "not JSON"}, {"report.json": json.dumps({"outcome": "?"})}], ids=str
)
def test_a_configuration_without_a_report_is_an_error_of_its_own(data):
    with pytest.raises(report.ReportError):
        reading.known_report({"metadata": {"name": "churn-x"}, "data": data})


ROUTE = {
    "metadata": {"namespace": "shop", "name": "churn", "generation": 3},
    "spec": {
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}],
        "hostnames": ["churn.example"],
        "rules": [{"backendRefs": [{"name": "churn-stable", "weight": 90}, {"name": "churn-candidate", "weight": 10}]}],
    },
    "status": {
        "parents": [
            {
                "parentRef": {"name": "front", "namespace": "shop"},
                "controllerName": "example.com/gateway",
                "conditions": [
                    {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": 3},
                    {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "no x"},
                ],
            }
        ]
    },
}


def test_a_route_is_read_with_what_each_gateway_says():
    seen = reading.route(ROUTE)
    assert seen is not None
    assert (seen.generation, seen.weights) == (3, {"churn-stable": 90, "churn-candidate": 10})
    assert seen.asked == spec.Gateway(parent_refs=(spec.ParentRef(name="front"),), hostnames=("churn.example",))
    (parent,) = seen.parents
    assert parent.key == facts.ParentKey.of(seen.asked.parent_refs[0], "shop"), "the route's own namespace is meant"
    assert parent.conditions == {
        "Accepted": facts.Said(status="True", reason="Accepted", generation=3),
        "ResolvedRefs": facts.Said(status="False", reason="BackendNotFound", message="no x"),
    }


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"metadata": ROUTE["metadata"], "spec": {}}, id="empty"),
        pytest.param({"metadata": ROUTE["metadata"], "spec": {"rules": [{"matches": []}]}}, id="without backends"),
        pytest.param({"metadata": ROUTE["metadata"], "spec": {}, "status": {"parents": None}}, id="nothing said"),
    ],
)
def test_a_route_that_somebody_has_emptied_leads_nowhere(raw):
    seen = reading.route(raw)
    assert seen is not None
    assert (seen.weights, seen.parents) == ({}, ())


def test_without_a_route_there_is_none():
    assert reading.route(None) is None


def test_of_a_route_in_memory_nothing_is_lost_that_is_read():
    trimmed = trimming.trim("HTTPRoute", ROUTE)
    assert reading.route(trimmed) == reading.route(ROUTE)
    beat = copy.deepcopy(ROUTE)
    beat["status"]["parents"][0]["conditions"][0]["lastTransitionTime"] = "2026-01-01T12:00:00Z"
    assert trimming.trim("HTTPRoute", beat) == trimmed
