"""One pass after the other with the real Reconciler on a cluster in memory: order of writes, faults, crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.control.cluster import KEY, Cluster, relayed, spec
from tests.unit.rollout import build

from seatrial.api.status import Reason
from seatrial.cluster import access, errors
from seatrial.control import queue
from seatrial.rollout import bounds


async def installed() -> Cluster:
    return await Cluster("1").until_serving("1")


def quota(kind: str) -> Any:
    def admit(wanted: access.Object) -> None:
        if wanted["kind"] == kind:
            raise errors.Refused(403, reason="Forbidden", message=f"{kind} is forbidden: exceeded quota: tight")

    return admit


def free(wanted: access.Object) -> None:
    """Admits everything."""


async def test_a_version_is_installed_and_the_next_one_rolled_out():
    cluster = await installed()
    cluster.want(spec("2"))
    await cluster.until_serving("2")
    assert [one["modelVersion"] for one in cluster.status["verdicts"]] == ["2", "1"]


async def test_status_is_written_before_children():
    cluster = Cluster("1")
    await cluster.reconciler.reconcile(KEY)
    assert cluster.writes[0] == "write_status"
    assert "apply" in cluster.writes


async def test_a_look_at_an_idle_object_writes_nothing():
    cluster = await installed()
    await cluster.step()
    cluster.writes.clear()
    for _ in range(3):
        assert await cluster.step() == queue.Result()
    assert cluster.writes == []


async def test_somebody_elses_write_ends_the_pass_before_anything_is_done():
    cluster = Cluster("1")
    usual = cluster.memory.before

    def meanwhile(method: str) -> None:
        usual(method)
        if method == "write_status":
            cluster.object["metadata"]["resourceVersion"] = "changed"

    cluster.memory.before = meanwhile
    with pytest.raises(errors.Conflict):
        await cluster.reconciler.reconcile(KEY)
    assert cluster.children() == set()


async def test_an_object_that_is_gone_or_going_is_left_alone():
    cluster = await installed()
    cluster.writes.clear()
    cluster.object["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert await cluster.reconciler.reconcile(KEY) == queue.Result()
    assert await cluster.reconciler.reconcile(queue.Key("shop", "nobody")) == queue.Result()
    assert cluster.writes == []


async def test_a_spec_that_cannot_be_read_stalls_and_leaves_stable_alone():
    cluster = await installed()
    before = cluster.children(), cluster.status["stable"]
    cluster.want({**spec("2"), "trial": {"timeout": "soon"}})
    await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "InvalidSpec")
    assert "$.trial.timeout" in cluster.condition("Ready")[2]
    assert (cluster.children(), cluster.status["stable"]) == before
    cluster.want(spec("1"))
    await cluster.until_serving("1")


async def test_a_candidate_is_guarded_by_the_last_readable_spec_on_its_record():
    cluster = await installed()
    cluster.want(spec("2"))
    while not cluster.status.get("candidate", {}).get("weight"):
        await cluster.step()
    cluster.want({**spec("2"), "trial": {"timeout": "soon"}})
    result = await cluster.step()
    assert result is not None
    assert result.look_again_in  # it is looked at again though nobody does anything
    assert cluster.condition("Ready")[1] == "InvalidSpec"
    cluster.object["metadata"]["annotations"] = {"seatrial.dev/abort": "stop"}
    await cluster.step()
    assert "candidate" not in cluster.status
    assert next(one["reason"] for one in cluster.status["verdicts"]) == "Aborted"


async def test_an_image_that_is_not_allowed_stalls_before_any_pod_runs_it():
    cluster = await installed()
    before = cluster.children(), cluster.status["stable"]
    cluster.want({**spec("2"), "serving": {"image": "evil.example.com/serving:1"}})
    await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "InvalidSpec")
    assert "spec.serving.image 'evil.example.com/serving:1' is not allowed" in cluster.condition("Ready")[2]
    assert (cluster.children(), cluster.status["stable"]) == before


@pytest.mark.parametrize("kind", ["ControllerRevision", "Job", "ConfigMap", "Deployment"])
async def test_a_refused_child_stalls_with_the_apis_words_once_and_recovers(kind):
    cluster = await installed()
    cluster.memory.admit = quota(kind)
    cluster.want(spec("2"))
    while cluster.condition("Stalled")[0] != "True":
        await cluster.step()
    assert cluster.condition("Ready") == ("False", "ChildRefused", f"{kind} is forbidden: exceeded quota: tight")
    assert cluster.status["stable"]["modelVersion"] == "1"
    await cluster.step()
    version = cluster.object["metadata"]["resourceVersion"]
    for _ in range(5):
        result = await cluster.step()
        assert result is not None
        assert result.look_again_in == 15.0
    assert cluster.object["metadata"]["resourceVersion"] == version
    cluster.memory.admit = free
    await cluster.until_serving("2")


async def test_after_a_refusal_is_over_the_status_is_put_right_at_once():
    cluster = await installed()
    cluster.memory.objects.pop(("PodDisruptionBudget", "shop", "churn"))
    cluster.memory.admit = quota("PodDisruptionBudget")
    await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "ChildRefused")
    cluster.memory.admit = free
    await cluster.step()
    assert cluster.condition("Ready")[:2] == ("True", "Promoted")


async def test_a_restart_during_a_refusal_says_it_again():
    cluster = Cluster("1")
    cluster.memory.admit = quota("Job")
    await cluster.step()
    cluster.restart()
    await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "ChildRefused")


async def test_a_foreign_service_of_that_name_is_never_taken_over():
    cluster = Cluster("1")
    foreign = {
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": "churn"},
        "spec": {"selector": {"app": "x"}},
    }
    cluster.memory._store(foreign)
    for _ in range(3):
        await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "NameTaken")
    assert "Service named churn" in cluster.condition("Ready")[2]
    assert cluster.of("Service")[0]["spec"] == {"selector": {"app": "x"}}
    del cluster.memory.objects["Service", "shop", "churn"]
    await cluster.until_serving("1")


async def test_our_own_child_that_lost_its_label_is_put_right():
    cluster = await installed()
    cluster.of("Service")[0]["metadata"]["labels"] = {}
    await cluster.step()
    assert cluster.of("Service")[0]["metadata"]["labels"]["seatrial.dev/modeldeployment"] == "churn"
    assert cluster.condition("Ready")[0] == "True"


async def test_a_trial_whose_log_cannot_be_read_holds_up_nothing_but_itself():
    cluster = Cluster("1")
    cluster.want({**spec("1"), "trial": {"timeout": "30s"}})
    usual = cluster.memory.before

    def node_away(method: str) -> None:
        usual(method)
        if method == "pod_log":
            raise errors.Unavailable("the node's kubelet doesn't answer")

    cluster.memory.before = node_away
    for _ in range(8):
        await cluster.step()
    assert cluster.condition("Stalled")[:2] == ("True", "TrialFailed")
    assert "kubelet doesn't answer" in cluster.condition("Ready")[2]
    assert cluster.status.get("verdicts", []) == []
    cluster.memory.before = usual
    await cluster.until_serving("1")


class Injected(Cluster):
    """Somebody's policy puts a sidecar into each pod, which runs on when the trial is over: no Job completes."""

    def _end_trials(self) -> None:
        super()._end_trials()
        sidecar = {"name": "mesh", "ready": True, "state": {"running": {}}}
        for job in self.of("Job"):
            job["status"] = {"active": 1}
            pod = self.memory.objects["Pod", KEY.namespace, job["metadata"]["name"]]
            [trial, *_] = pod["status"]["containerStatuses"]
            pod["status"]["containerStatuses"] = [trial, sidecar]


async def test_a_trial_is_over_with_its_own_container_whatever_else_runs_in_its_pod():
    cluster = await Injected("1").until_serving("1")
    assert [one["verdict"] for one in cluster.status["verdicts"]] == ["Promoted"]


async def test_a_report_that_is_not_the_one_named_rejects_the_version():
    cluster = Cluster("1")
    await cluster.step()
    cluster.memory.logs.update(dict.fromkeys(cluster.memory.logs, '{"outcome": "Passed"}'))
    await cluster.step()
    assert cluster.condition("Ready")[:2] == ("False", "TrialFailed")


async def test_a_configuration_that_was_tampered_with_does_not_stop_the_others():
    cluster = await installed()
    for one in cluster.of("ConfigMap"):
        one["data"] = {}
    cluster.want(spec("2"))
    await cluster.until_serving("2")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="nothing in it"),
        pytest.param(None, id="none"),
        pytest.param({"content": {"sha256": 1}, "uri": "", "podTemplate": {}}, id="not as we write it"),
    ],
)
@pytest.mark.parametrize("whose", ["stable", "candidate"])
async def test_a_record_that_somebody_spoilt_stops_no_rollout(data, whose):
    cluster = await installed()
    cluster.want(spec("2"))
    while not cluster.status.get("candidate", {}).get("weight"):
        await cluster.step()
    name = f"churn-{cluster.status[whose]['revision']}"
    [record] = [one for one in cluster.of("ControllerRevision") if one["metadata"]["name"] == name]
    record["data"] = data
    await cluster.until_serving("2")


async def end_of_a_rollout(
    before: Cluster, *, crash_at: int | None = None, wish: Callable[[str], dict[str, Any]] = spec
) -> Cluster:
    cluster = before.copy()
    cluster.crash_at = crash_at
    cluster.want(wish("2"))
    await cluster.until_serving("2")
    for _ in range(2):
        await cluster.step()
    return cluster


@pytest.mark.long
@pytest.mark.parametrize("wish", [spec, relayed])
async def test_a_crash_before_any_single_write_leads_to_the_same_end(wish):
    start = await Cluster("1", wish=wish).until_serving("1")
    whole = await end_of_a_rollout(start, wish=wish)
    assert len(whole.writes) > 10
    for number in range(len(whole.writes)):
        crashed = await end_of_a_rollout(start, crash_at=number, wish=wish)
        assert crashed.crash_at is None, "it never crashed"
        assert crashed.children() == whole.children(), f"after a crash before write {number}"
        assert [one["reason"] for one in crashed.status["verdicts"]] == ["Promoted", "Promoted"]
        assert not crashed.assignments(), f"after a crash before write {number}"


async def test_pods_are_told_what_to_pass_on_before_anything_else_is_applied_and_status_first():
    cluster = await Cluster("1", wish=relayed).until_serving("1")
    cluster.want(relayed("2"))
    while not cluster.assignments():
        cluster.writes.clear()
        cluster.memory.objects.pop(("PodDisruptionBudget", "shop", "churn"))  # so that something has to be applied
        await cluster.step()
    assert cluster.writes[:4] == ["write_status", "annotate", "annotate", "apply"]
    assert {one["shadow"] for one in cluster.assignments().values()} == {20}


async def test_a_pod_that_is_gone_meanwhile_stops_no_other_from_being_told():
    cluster = await Cluster("1", wish=relayed).until_serving("1")
    cluster.want(relayed("2"))
    before = cluster.memory.before

    def one_is_gone(method: str) -> None:
        before(method)
        if method == "annotate" and len([one for one in cluster.writes if one == "annotate"]) == 1:
            raise errors.NotFound("pods churn-0 not found")

    cluster.memory.before = one_is_gone
    while not cluster.assignments():
        await cluster.step()
    assert cluster.condition("Stalled")[0] == "False"


async def test_a_right_that_is_missing_is_said_and_the_share_stays_with_stable():
    cluster = await Cluster("1", wish=relayed).until_serving("1")
    cluster.want(relayed("2"))
    before = cluster.memory.before

    def forbidden(method: str) -> None:
        before(method)
        if method == "annotate":
            raise errors.Refused(403, reason="Forbidden", message="cannot patch resource pods")

    cluster.memory.before = forbidden
    for _ in range(8):
        await cluster.step()
    assert cluster.condition("Stalled") == ("True", "ChildRefused", "cannot patch resource pods")
    assert cluster.status["stable"]["modelVersion"] == "1"
    cluster.memory.before = before
    await cluster.until_serving("2")


async def test_commands_are_read_from_their_annotations_and_recorded_cut_to_what_status_can_keep():
    cluster = await installed()
    asked = {"pause": "p", "resume": "r", "rollback-to": "nobody", "refresh-image": "𝔄" * 256}
    cluster.object["metadata"]["annotations"] = {f"seatrial.dev/{name}": token for name, token in asked.items()}
    for _ in range(3):
        await cluster.step()
    handled = cluster.status["commands"]
    assert {name: handled[name] for name in ("pause", "resume", "rollbackTo")} == {
        "pause": "p",
        "resume": "r",
        "rollbackTo": "nobody",
    }
    assert len(handled["refreshImage"].encode()) <= bounds.TOKEN


async def test_a_refused_candidate_stops_nothing_that_stable_needs():
    cluster = await installed()
    cluster.memory.admit = quota("Job")
    cluster.want(spec("2"))
    await cluster.step()
    (stable,) = cluster.of("Deployment")
    cluster.memory.objects.pop(("Deployment", "shop", stable["metadata"]["name"]))
    await cluster.step()
    assert [one["metadata"]["name"] for one in cluster.of("Deployment")] == [stable["metadata"]["name"]]
    assert cluster.condition("Stalled")[:2] == ("True", "ChildRefused")


async def test_a_rollback_moves_the_traffic_right_after_the_status():
    cluster = await installed()
    cluster.want(spec("2"))
    while "weight" not in cluster.status.get("candidate", {}):
        await cluster.step()
    order: list[str] = []
    usual = cluster.memory.apply

    async def applied(wanted: access.Object) -> access.Object:
        order.append(wanted["kind"])
        return await usual(wanted)

    cluster.memory.apply = applied
    cluster.object["metadata"]["annotations"] = {"seatrial.dev/abort": "now"}
    cluster.writes.clear()
    await cluster.reconciler.reconcile(KEY)
    assert cluster.writes[0] == "write_status"
    assert order[0] == "Service"


async def test_a_rollback_writes_what_serves_first_and_its_events_last():
    cluster = await installed()
    cluster.want(spec("2"))
    while "weight" not in cluster.status.get("candidate", {}):
        await cluster.step()
    order: list[str] = []
    cluster.memory.admit = lambda wanted: order.append(wanted["kind"])
    cluster.newest = lambda key, question: build.look("Fail", reason=Reason.ERRORS_REGRESSED) if question else None
    await cluster.reconciler.reconcile(KEY)
    assert order[:2] == ["ModelDeployment", "Service"]
    assert "ConfigMap" in order  # the evidence
    assert order.index("Event") > max(place for place, kind in enumerate(order) if kind != "Event")
    [posted] = [one for one in cluster.of("Event") if one["reason"] == "RolledBack"]
    assert posted["type"] == "Warning"
