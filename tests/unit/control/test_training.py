"""CronJobs, training Jobs and their pods as the API has them, read into facts; and the alarm in status."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build, trainer

from seatrial.api.status import (
    Condition,
    ConditionStatus,
    DriftedColumn,
    DriftOutcome,
    DriftStatus,
    QualityOutcome,
    QualityStatus,
    Status,
)
from seatrial.control import training
from seatrial.rollout import names, quality
from seatrial.rollout.retraining import alarms, seen

CRON_JOB = {
    "metadata": {"name": "churn-train", "namespace": "shop"},
    "spec": {"schedule": "@yearly", "suspend": True, "jobTemplate": trainer.JOB_TEMPLATE},
}
SAID = trainer.message("8")


def changed(**spec: Any) -> dict[str, Any]:
    return {**CRON_JOB, "spec": {**CRON_JOB["spec"], **spec}}


def test_a_suspended_cron_job_is_a_template():
    read = training.template(CRON_JOB, "churn-train")
    assert (read.job, read.trouble, len(read.sha256)) == (trainer.JOB_TEMPLATE, "", 64)


def test_the_digest_of_a_template_is_of_the_job_and_of_nothing_else():
    same, other = changed(schedule="@daily"), copy.deepcopy(CRON_JOB)
    other["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/new:4"
    digests = [training.template(one, "churn-train").sha256 for one in (CRON_JOB, same, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "does not exist"),
        ({**CRON_JOB, "metadata": {"name": "churn-train", "deletionTimestamp": "now"}}, "does not exist"),
        (changed(suspend=False), "must have suspend: true"),
        ({**CRON_JOB, "spec": {"jobTemplate": trainer.JOB_TEMPLATE}}, "must have suspend: true"),
    ],
    ids=["missing", "going", "running by its schedule", "not suspended"],
)
def test_why_no_job_can_be_made_is_said(raw, words):
    assert words in training.template(raw, "churn-train").trouble


def job(condition: str = "", **spec: Any) -> dict[str, Any]:
    notes = {names.BASE: "b1", names.TRIGGER: "Drift", names.CONTAINER: "train"}
    meta = {
        "name": "churn-train-3",
        "uid": "j3",
        "labels": {names.TRAINING: "3"},
        "annotations": notes,
        "creationTimestamp": "2026-05-01T12:00:00Z",
    }
    told = [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}]
    return {
        "metadata": meta,
        "spec": {**trainer.JOB_TEMPLATE["spec"], **spec},
        "status": {"conditions": told if condition else []},
    }


def pod(*containers: tuple[str, int | None, str], at: int = 1, owner: str = "j3") -> dict[str, Any]:
    """Containers by name, exit code (None: it runs) and message."""
    states = [
        {
            "name": name,
            "state": {"running": {}} if code is None else {"terminated": {"exitCode": code, "message": message}},
        }
        for name, code, message in containers
    ]
    meta = {"name": f"p{at}", "creationTimestamp": f"2026-05-01T12:00:0{at}Z", "ownerReferences": [{"uid": owner}]}
    return {"metadata": meta, "status": {"containerStatuses": states}}


def read(raw: dict[str, Any], *pods: dict[str, Any]) -> seen.Job:
    (found,) = training.jobs([raw], pods)
    return found


def test_a_run_that_ended_says_what_its_first_container_said():
    found = read(job("Complete"), pod(("push", 0, "pushed"), ("train", 0, SAID)))
    assert (found.state, found.message, found.trouble) == ("Succeeded", SAID, "")
    assert (found.number, found.base, found.trigger, found.uid) == (3, "b1", "Drift", "j3")


def test_of_two_pods_the_newest_that_ended_well_counts():
    first, second = pod(("train", 0, "old"), at=1), pod(("train", 0, SAID), at=2)
    assert read(job("Complete"), second, first, pod(("train", 1, "bad"), at=3)).message == SAID


def test_a_result_of_another_jobs_pod_is_not_taken():
    assert read(job("Complete"), pod(("train", 0, SAID), owner="other")).trouble == training.GONE


def test_a_sidecar_that_a_policy_injected_keeps_nobody_waiting():
    found = read(job(), pod(("train", 0, SAID), ("istio-proxy", None, "")))
    assert (found.state, found.message) == ("Succeeded", SAID)


def test_a_container_of_the_users_own_is_waited_for():
    two = copy.deepcopy(trainer.JOB_TEMPLATE["spec"]["template"])
    two["spec"]["containers"].append({"name": "push", "image": "push:1"})
    assert read(job(template=two), pod(("train", 0, SAID), ("push", None, ""))).state == "Running"


def test_a_failed_run_has_its_pods_words_or_the_job_controllers():
    assert "out of memory" in read(job("Failed"), pod(("train", 137, "out of memory"))).trouble
    assert "BackoffLimitExceeded" in read(job("Failed")).trouble


@pytest.mark.parametrize("label", ["", "0", "-1", "1e3", "๓", "99999999999"])
def test_a_job_whose_number_can_not_be_read_is_nobodys(label):
    raw = job()
    raw["metadata"]["labels"][names.TRAINING] = label
    assert training.jobs([raw], []) == ()


# the alarm

NOW = datetime(2026, 5, 3, tzinfo=UTC)


def column(name: str, test: str = "Shape", outcome: DriftOutcome = DriftOutcome.DRIFTED) -> DriftedColumn:
    return DriftedColumn(name=name, kind="Feature", test=test, outcome=outcome, window="48h", since=NOW)


def status(
    *columns: DriftedColumn, revision: str = "", outcome: str = "Drifted", reason: str = "FeatureDrift"
) -> Status:
    stable = build.stable()
    return Status(
        stable=stable,
        drift=DriftStatus(
            revision=revision or stable.revision,
            outcome=DriftOutcome(outcome),
            since=NOW - timedelta(days=1),
            at=NOW,
            columns=columns,
        ),
        conditions=(
            Condition(
                type="Drifted",
                status=ConditionStatus.TRUE,
                reason=reason,
                message="income: 31% above 52000",
                observed_generation=1,
                last_transition_time=NOW,
            ),
        ),
    )


def test_columns_that_moved_are_told_from_bad_data_and_from_suspicion():
    found = alarms.of(
        status(column("income"), column("age", "Missing"), column("region", outcome=DriftOutcome.SUSPECTED))
    )
    assert (found.columns, found.invalid, found.words) == (("income",), ("age",), "income: 31% above 52000")
    assert found.since == {"income": NOW}
    assert (found.start, found.end) == (NOW - timedelta(days=2), NOW)
    assert [one["name"] for one in json.loads(found.report)["columns"]] == ["income", "age"]


def test_what_was_found_of_a_version_before_is_no_alarm_about_the_one_that_serves():
    assert alarms.of(status(column("income"), revision="elsewhere")) == seen.Alarm()
    assert alarms.of(msgspec.structs.replace(status(column("income")), stable=None)) == seen.Alarm()


def of_quality(outcome: QualityOutcome, **changes: str) -> Status:
    """Labels have said this of what serves, and drift nothing."""
    found = QualityStatus(**{"revision": "r1", "outcome": outcome, "since": NOW, "at": NOW, "until": NOW, **changes})
    told = msgspec.structs.replace(status(), drift=None)
    said = msgspec.structs.replace(told.conditions[0], type="QualityDropped", message="20% were wrong")
    revision = told.stable.revision if told.stable is not None else ""
    return msgspec.structs.replace(
        told, quality=msgspec.structs.replace(found, revision=changes.get("revision", revision)), conditions=(said,)
    )


def test_dropped_quality_is_an_alarm_with_its_rows_and_its_report():
    found = alarms.of(of_quality(QualityOutcome.DROPPED, window="48h", share="20%"))
    assert (found.dropped, found.since, found.columns) == ("20% were wrong", {quality.NAME: NOW}, ())
    assert (found.start, found.end) == (NOW - timedelta(days=2), NOW)
    assert json.loads(found.report)["quality"]["share"] == "20%"


@pytest.mark.parametrize("outcome", [one for one in QualityOutcome if one is not QualityOutcome.DROPPED])
def test_quality_that_is_not_proven_to_have_dropped_is_no_alarm(outcome):
    found = alarms.of(of_quality(outcome))
    assert (found.dropped, found.since, found.blind) == ("", {}, "")


def test_the_quality_of_a_version_before_is_no_alarm():
    assert alarms.of(of_quality(QualityOutcome.DROPPED, revision="elsewhere")) == seen.Alarm()


def test_no_metrics_are_blindness_and_no_reference_is_not():
    assert alarms.of(status(outcome="Unknown", reason="MetricsUnavailable")).blind
    assert not alarms.of(status(outcome="Unknown", reason="NoReference")).blind


def test_the_report_is_no_longer_than_an_environment_variable_should_be():
    many = [msgspec.structs.replace(column("c" * 250), where="w" * 250, share="s" * 250) for _ in range(30)]
    assert len(alarms.of(status(*many)).report) <= alarms.MAX_REPORT
