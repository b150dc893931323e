"""Facts from the API's JSON, as clusters really send it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seatrial.control import reading
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
        pytest.param(pod(init=(container("prepare", CRASH, restarts=2),)), True, id="init container"),
        pytest.param(pod(container("server", CRASH, restarts=1)), False, id="stumbled once"),
        pytest.param(pod(container("server", RUNNING, restarts=9)), False, id="runs again"),
        pytest.param(pod(container("server", waiting("ImagePullBackOff"), restarts=9)), False, id="another trouble"),
    ],
)
def test_crash_loops_are_believed_after_the_second_crash(raw, looping):
    assert reading.pod(raw).crash_looping is looping


def test_a_deployment_quotes_what_refused_its_pods():
    words = 'pods "churn" is forbidden: exceeded quota: tight'
    refused = {"type": "ReplicaFailure", "status": "True", "message": words}
    seen = reading.deployment({"spec": {"replicas": 3}, "status": {"conditions": [refused]}})
    assert seen == facts.Deployment(replicas=3, refusal=words)
    assert reading.deployment({"spec": {"replicas": 3}}) == facts.Deployment(replicas=3)


def endpoint(name: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}}


SERVICE = {"spec": {"selector": {"app": "churn"}}}
PODS = tuple(facts.Pod(name=f"{revision}-{number}", revision=revision) for revision in "ab" for number in range(3))


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
    seen = reading.endpoints(SERVICE, [{"endpoints": endpoints[:1]}, {"endpoints": endpoints[1:]}], PODS)
    assert seen == facts.Endpoints(selector={"app": "churn"}, ready=ready, serving=serving)


def test_slices_may_be_empty_and_the_service_missing():
    assert reading.endpoints(SERVICE, [{"endpoints": None}, {}], PODS) == facts.Endpoints(
        selector={"app": "churn"}, ready={}, serving={}
    )
    assert reading.endpoints(None, [], PODS) is None


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
    ("message", "expected"),
    [
        pytest.param('{"sha256": "abc"}', ("abc", ""), id="digest"),
        pytest.param('{"error": "store unreachable"}', ("", "store unreachable"), id="error"),
        pytest.param("Killed\n", ("", "Killed"), id="another program"),
        pytest.param("[" * 4096, ("", "[" * 4096), id="deep"),
        pytest.param('{"sha256": {"a": 1}}', ("{'a': 1}", ""), id="no text"),
    ],
)
def test_the_termination_message_of_a_trial(message, expected):
    assert reading.termination(pod(container("trial", terminated(0, "Completed", message)))) == expected


def test_a_trial_that_waits_tells_why():
    raw = pod(container("trial", waiting("ErrImagePull", "no such tag")))
    assert reading.termination(raw) == ("", "trial: ErrImagePull: no such tag")


@pytest.mark.parametrize(
    "data", [{}, {"report.json": "not JSON"}, {"report.json": json.dumps({"outcome": "?"})}], ids=str
)
def test_a_configuration_without_a_report_is_an_error_of_its_own(data):
    with pytest.raises(report.ReportError):
        reading.known_report({"metadata": {"name": "churn-x"}, "data": data})
