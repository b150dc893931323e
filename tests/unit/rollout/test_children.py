"""The rendered objects, and which go when: nothing that traffic or a return may need is taken away."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build

from seatrial.api import spec
from seatrial.api.status import Status
from seatrial.rollout import children, config, facts, names, report, revision

PASSED = report.Report(outcome=report.Outcome.PASSED, served_sha256="5e", precision="fp32")
V1, V2, V3 = (build.name_of(version) for version in "123")
TRIAL = facts.Trial(state=facts.JobState.SUCCEEDED, created_at=build.at(0), report=PASSED, report_line='{"a": 1}')


def rendered(after: Status, **changes: object) -> dict[tuple[str, str], dict[str, Any]]:
    snapshot = build.snapshot(**{"status": after, **changes})  # type: ignore[arg-type]
    return {(one["kind"], one["metadata"]["name"]): one for one in children.wanted(snapshot, after, build.at(10))}


def everything() -> dict[tuple[str, str], dict[str, Any]]:
    """Every kind: a candidate on trial beside stable, and the pods of one that passed."""
    first = rendered(Status(stable=build.STABLE, candidate=build.on_trial()), records={V1: build.record("1")})
    return first | rendered(Status(stable=build.STABLE, candidate=build.starting()), trials={V2: TRIAL})


def test_every_child_has_its_owner_and_our_labels_and_nothing_of_the_parents():
    found = everything()
    assert {kind for kind, _ in found} == {
        "ControllerRevision",
        "Service",
        "Job",
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
    }
    for child in found.values():
        meta = child["metadata"]
        assert meta["ownerReferences"] == [
            {
                "apiVersion": "seatrial.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": "churn",
                "uid": "u",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ]
        assert set(meta["labels"]) <= {names.MANAGED_BY, names.DEPLOYMENT, names.REVISION}
        assert set(meta) - {"annotations"} == {"name", "namespace", "labels", "ownerReferences"}
        assert all(name.startswith("seatrial.dev/") for name in meta.get("annotations", {}))


def test_a_trial_is_told_of_the_version_that_serves_so_that_it_can_be_the_measure() -> None:
    after = Status(stable=build.STABLE, candidate=build.on_trial())
    job = rendered(after, records={V1: build.record("1")})["Job", f"churn-{V2}-trial"]
    config = json.loads(job["spec"]["template"]["metadata"]["annotations"]["seatrial.dev/config"])
    stable = build.record("1")
    assert config["trial"] == {"stable": {"version": "1", "uri": stable.uri, "sha256": stable.content.sha256, "way": 0}}
    first = rendered(Status(candidate=build.on_trial()))["Job", f"churn-{V2}-trial"]
    assert "trial" not in json.loads(first["spec"]["template"]["metadata"]["annotations"]["seatrial.dev/config"])


def templates() -> list[Any]:
    found = everything()
    return [
        pytest.param(found["Job", f"churn-{V2}-trial"]["spec"]["template"], id="trial"),
        pytest.param(found["Deployment", f"churn-{V2}"]["spec"]["template"], id="server"),
    ]


def test_the_service_leads_to_the_ports_of_both_protocols():
    found = everything()
    ports = found["Service", "churn"]["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(8080, "http"), (8081, "grpc")]
    (server,) = found["Deployment", f"churn-{V2}"]["spec"]["template"]["spec"]["containers"]
    opened = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert opened == {"http": 8080, "grpc": 8081, "metrics": 8082}


@pytest.mark.parametrize("template", templates())
def test_pods_keep_to_the_restricted_standard(template):
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
        assert writable == ["/work"]
    assert [next(iter(one.keys() - {"name"})) for one in pod["volumes"] if one["name"] == "work"] == ["emptyDir"]


def test_selectors_find_the_servers_of_one_revision_and_never_a_trial():
    found = everything()
    deployment = found["Deployment", f"churn-{V2}"]["spec"]
    selector = deployment["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert selector[names.REVISION] == V2
    trial = found["Job", f"churn-{V2}-trial"]["spec"]["template"]["metadata"]["labels"]
    for one in (selector, found["Service", "churn"]["spec"]["selector"]):
        assert not one.items() <= trial.items()


def test_the_configuration_is_immutable_and_keeps_the_trials_report():
    config_map = everything()["ConfigMap", f"churn-{V2}"]
    assert config_map["immutable"] is True
    assert config_map["data"]["report.json"] == '{"a": 1}'
    assert json.loads(config_map["data"]["config.json"])["expected"]["servedSha256"] == "5e"


def test_a_configuration_once_written_is_not_rendered_again():
    after = Status(stable=build.STABLE, candidate=build.starting())
    found = rendered(after, trials={V2: TRIAL}, reports={V2: PASSED}, configured={V2: build.record("2").uri})
    assert ("ConfigMap", f"churn-{V2}") not in found


def test_a_revision_keeps_the_template_it_was_recorded_with():
    old = msgspec.structs.replace(build.record("1"), pod_template={"by": "an older operator"})
    found = rendered(Status(stable=build.STABLE), wish=build.spec("1"), records={V1: old})
    assert found["Deployment", f"churn-{V1}"]["spec"]["template"] == {"by": "an older operator"}


def test_a_lost_record_of_the_wanted_version_is_written_again():
    found = rendered(Status(stable=build.STABLE), wish=build.spec("1"), records={})
    assert ("ControllerRevision", f"churn-{V1}") in found


def test_a_lost_record_of_another_version_is_not_made_up():
    found = rendered(
        Status(stable=build.STABLE, candidate=build.candidate("3", trial_started_at=build.at(0))), records={}
    )
    assert not [name for kind, name in found if kind in ("ControllerRevision", "Job", "Deployment")]


def scale(**counts: int) -> dict[str, facts.Deployment]:
    return {build.name_of(version[1:]): facts.Deployment(replicas=count) for version, count in counts.items()}


@pytest.mark.parametrize(
    ("after", "changes", "replicas"),
    [
        pytest.param(Status(stable=build.STABLE), {}, {V1: 4}, id="stable alone"),
        pytest.param(
            Status(stable=build.STABLE),
            {"deployments": scale(v2=2), "endpoints": build.endpoints(None, v1=4, v2=2)},
            {V1: 4, V2: 2},
            id="rolled back, endpoints still hold it",
        ),
        pytest.param(
            Status(stable=build.STABLE),
            {"deployments": scale(v2=2), "endpoints": build.endpoints("1", v1=4)},
            {V1: 4, V2: 0},
            id="rolled back and drained",
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.on_trial()), {}, {V1: 4}, id="no pods during the trial"
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.starting()), {}, {V1: 4, V2: 1}, id="pods for the first step"
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.in_step(2, weight=10)), {}, {V1: 4, V2: 4}, id="for the second"
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.promoting()), {}, {V1: 4, V2: 4}, id="for the promotion"
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.in_step()),
            {"deployments": scale(v2=3)},
            {V1: 4, V2: 3},
            id="steps changed downwards: pods with traffic stay",
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.in_step(weight=0)),
            {"deployments": scale(v2=3), "endpoints": build.endpoints(None, v1=4, v2=3)},
            {V1: 4, V2: 3},
            id="weight 0 but endpoints still hold them",
        ),
        pytest.param(
            Status(stable=build.STABLE, candidate=build.in_step()),
            {"deployments": scale(v2=9)},
            {V1: 4, V2: 4},
            id="never more than stable",
        ),
        pytest.param(
            Status(stable=build.stable("2"), previous=build.previous("1", warm_until=build.at(60))),
            {},
            {V1: 4, V2: 4},
            id="warm in the soak",
        ),
        pytest.param(Status(candidate=build.starting(promoting=True)), {}, {V2: 4}, id="first install comes whole"),
    ],
)
def test_pods_follow_status_and_leave_only_after_their_endpoints(after, changes, replicas):
    found = rendered(after, wish=build.spec(replicas=4), **changes)
    assert {
        name.removeprefix("churn-"): child["spec"]["replicas"]
        for (kind, name), child in found.items()
        if kind == "Deployment"
    } == replicas


def pinned(child: dict[str, Any]) -> str | None:
    found: str | None = child["spec"]["selector"].get(names.REVISION)
    return found


@pytest.mark.parametrize(
    ("after", "revision"),
    [
        pytest.param(Status(stable=build.STABLE), V1, id="idle"),
        pytest.param(Status(stable=build.STABLE, candidate=build.starting()), V1, id="before the first weight"),
        pytest.param(Status(stable=build.STABLE, candidate=build.in_step()), None, id="shared"),
        pytest.param(Status(stable=build.STABLE, candidate=build.in_step(weight=0)), V1, id="blind"),
        pytest.param(Status(stable=build.STABLE, candidate=build.promoting(weight=100)), V2, id="all"),
        pytest.param(Status(candidate=build.starting(promoting=True)), V2, id="first install"),
        pytest.param(Status(), "none", id="nobody"),
    ],
)
def test_the_service_selects_whom_the_weight_says(after, revision):
    assert pinned(rendered(after)["Service", "churn"]) == revision


@pytest.mark.parametrize(("replicas", "there"), [(1, False), (2, True)])
def test_a_disruption_budget_exists_only_where_a_pod_can_be_spared(replicas, there):
    found = rendered(Status(stable=build.STABLE), wish=build.spec("1", replicas=replicas))
    assert (("PodDisruptionBudget", "churn") in found) is there


# what goes


def existing(kind: str, of: str = "", name: str = "") -> dict[str, Any]:
    meta = {"name": name or f"churn-{of}", "uid": f"{kind}-{of}", "labels": {names.REVISION: of} if of else {}}
    return {"kind": kind, "metadata": meta}


def deleted(after: Status, **changes: object) -> list[tuple[str, str]]:
    snapshot = build.snapshot(**{"status": after, **changes})  # type: ignore[arg-type]
    return [(one.kind, one.uid) for one in children.unwanted.of(snapshot, after)]


def history(count: int) -> dict[str, revision.Record]:
    """Records of versions 11, 12 and so on; the numbers are their ages."""
    made = [build.record(str(number)) for number in range(11, 11 + count)]
    return {one.revision: one for one in made}


KINDS = ("Job", "Deployment", "ConfigMap", "ControllerRevision")


def test_the_oldest_revisions_beyond_the_limit_go_and_those_in_use_never():
    wish = msgspec.structs.replace(build.spec("2"), revision_history_limit=3)
    in_use = {one.revision: msgspec.structs.replace(one, number=0) for one in map(build.record, "123")}
    old = history(5)
    after = Status(
        stable=build.STABLE, candidate=build.starting(), previous=build.previous("3", warm_until=build.at(60))
    )
    observed = tuple(existing(kind, of) for of in (*in_use, *old) for kind in KINDS)
    gone = deleted(after, wish=wish, records={**in_use, **old}, observed=observed, pods=())
    oldest = [one.revision for one in sorted(old.values(), key=lambda one: one.number)][:2]
    assert sorted(gone) == sorted((kind, f"{kind}-{of}") for of in oldest for kind in KINDS)


def test_what_still_has_pods_is_deleted_only_when_they_have_left():
    wish = msgspec.structs.replace(build.spec("1"), revision_history_limit=1)
    old = history(2)
    oldest = build.name_of("11")
    case = {
        "wish": wish,
        "records": {V1: build.record("1"), **old},
        "observed": tuple(existing(kind, oldest) for kind in KINDS),
        "deployments": {oldest: facts.Deployment(replicas=0)},
    }
    stays = deleted(Status(stable=build.STABLE), **case, pods=build.pods("11", True))
    assert stays == [("Job", f"Job-{oldest}")]
    leaving = deleted(Status(stable=build.STABLE), **case, pods=build.pods("11", True, leaving=True))
    assert [kind for kind, _ in leaving] == ["Job", "Deployment", "ConfigMap"]
    without = {**case, "deployments": {}}
    assert ("ControllerRevision", f"ControllerRevision-{oldest}") in deleted(
        Status(stable=build.STABLE), **without, pods=()
    )


def job(*, state: str = "Succeeded", at: float = 0) -> facts.Trial:
    return facts.Trial(state=facts.JobState(state), created_at=build.at(at))


@pytest.mark.parametrize(
    ("candidate", "trial", "goes"),
    [
        pytest.param(build.on_trial(), job(state="Running"), False, id="under way"),
        pytest.param(build.on_trial(trial_started_at=build.at(0.7)), job(), False, id="made in the same second"),
        pytest.param(build.on_trial(), job(at=-1), True, id="of an earlier try"),
        pytest.param(build.starting(), job(at=-1), False, id="its result is in use"),
        pytest.param(None, job(state="Running"), True, id="running for nobody"),
        pytest.param(None, job(), False, id="kept to read its log"),
    ],
)
def test_stale_trials_go(candidate, trial, goes):
    after = Status(stable=build.STABLE, candidate=candidate)
    gone = deleted(after, trials={V2: trial}, observed=(existing("Job", V2, name=f"churn-{V2}-trial"),))
    assert (gone == [("Job", f"Job-{V2}")]) is goes


@pytest.mark.parametrize(
    ("after", "replicas", "goes"),
    [
        pytest.param(Status(stable=build.STABLE), 2, False, id="pods to spare"),
        pytest.param(Status(stable=build.STABLE), 1, True, id="a single pod"),
        pytest.param(Status(), 2, True, id="no stable version"),
    ],
)
def test_a_disruption_budget_that_would_block_drains_goes(after, replicas, goes):
    budget = existing("PodDisruptionBudget", name="churn")
    assert bool(deleted(after, wish=build.spec("1", replicas=replicas), observed=(budget,))) is goes


def test_a_service_is_never_deleted():
    assert deleted(Status(), observed=(existing("Service", name="churn"),)) == []


def with_drift(**changes: object) -> Any:
    return msgspec.structs.replace(build.spec("1"), monitoring=spec.Monitoring(drift=spec.Drift(**changes)))  # type: ignore[arg-type]


def settings(wish: Any, *observed: dict[str, Any]) -> list[dict[str, Any]]:
    found = rendered(Status(stable=build.STABLE), spec=wish, observed=observed)
    return [one for (_, name), one in found.items() if name == "churn-monitoring"]


def test_live_settings_are_there_once_one_is_not_the_default_and_stay():
    assert settings(with_drift()) == []
    [off] = settings(with_drift(mode=spec.DriftMode.OFF))
    assert off["data"] == {"monitoring.json": '{"drift":{"mode":"Off"}}'}
    [default] = settings(with_drift(), {**off, "metadata": {**off["metadata"], "uid": "c"}})
    assert default["data"] == {"monitoring.json": "{}"}


def test_samples_are_a_live_setting():
    samples = spec.Samples(share=spec.Ratio.parse("0.5%"), sink="http://vector.logs:8080/")
    wish = msgspec.structs.replace(build.spec("1"), monitoring=spec.Monitoring(samples=samples))
    [told] = settings(wish)
    assert json.loads(told["data"]["monitoring.json"]) == {
        "samples": {"share": 0.005, "sink": "http://vector.logs:8080/"}
    }


def test_attributions_are_a_live_setting_and_no_part_of_the_revision():
    wish = msgspec.structs.replace(build.spec("1"), monitoring=spec.Monitoring(attributions=spec.Attributions()))
    [told] = settings(wish)
    assert told["data"] == {"monitoring.json": '{"attributions":{"rowsPerSecond":1}}'}
    known = [revision.wanted(one, name="churn", default_image="i", known=()) for one in (build.spec("1"), wish)]
    assert known[0] == known[1]


def test_live_settings_go_with_no_revision():
    [off] = settings(with_drift(mode=spec.DriftMode.OFF))
    seen = build.snapshot(
        status=Status(stable=build.STABLE), observed=({**off, "metadata": {**off["metadata"], "uid": "c"}},)
    )
    assert children.unwanted.of(seen, seen.status) == ()


def test_live_settings_are_no_part_of_the_revision():
    known = [
        revision.wanted(wish, name="churn", default_image="i", known=()).revision
        for wish in (with_drift(), with_drift(mode=spec.DriftMode.OFF))
    ]
    assert known[0] == known[1]


def test_pods_of_an_older_release_are_not_told_of_live_settings():
    record = build.record("1")
    assert "monitoring" in config.render(namespace="n", name="churn", record=record, analysis=spec.Analysis())
    older = msgspec.structs.replace(record, pod_template={"spec": {"volumes": []}})
    assert "monitoring" not in config.render(namespace="n", name="churn", record=older, analysis=spec.Analysis())
