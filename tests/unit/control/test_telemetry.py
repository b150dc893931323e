"""The operator's metrics: names as Prometheus wants them, series bounded and removed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from seatrial.api import spec
from seatrial.api.status import Condition, ConditionStatus, Reason, Stable, Status
from seatrial.api.trained import Retraining, RetrainingState, Trigger
from seatrial.control import model_metrics, telemetry
from seatrial.control.queue import Key

CHURN = Key("shop", "churn")
EXPECTED = {
    "seatrial_reconcile_duration_seconds",
    "seatrial_reconcile_errors",
    "seatrial_queue_depth",
    "seatrial_rollbacks",
    "seatrial_promotions",
    "seatrial_retraining_runs",
    "seatrial_serves_other_than_git",
    "seatrial_rollback_duration_seconds",
    "seatrial_modeldeployment_condition",
    "seatrial_modeldeployment_info",
    "seatrial_modeldeployment_last_rollback_timestamp_seconds",
    "seatrial_modeldeployment_last_verdict_timestamp_seconds",
    "seatrial_modeldeployment_revision_info",
    "seatrial_rollout_evidence_ratio",
    "seatrial_rollout_shadow_ratio",
    "seatrial_rollout_share_ratio",
    "seatrial_rollout_weight_ratio",
    "seatrial_modeldeployment_unmetered",
    "seatrial_leader",
    "seatrial_event_failures",
    "seatrial_drift_alarms",
    "seatrial_drift_distance_ratio",
    "seatrial_drift_evidence_nats",
    "seatrial_drift_look_duration_seconds",
    "seatrial_drift_look_errors",
    "seatrial_drift_window_rows",
    "seatrial_quality_wrong_ratio",
    "seatrial_quality_wrong_low_ratio",
    "seatrial_quality_wrong_high_ratio",
    "seatrial_quality_labelled_ratio",
    "seatrial_quality_evidence_nats",
    "seatrial_quality_labels_missing",
    "seatrial_quality_look_duration_seconds",
    "seatrial_quality_look_errors",
    "seatrial_model_promoted_timestamp_seconds",
    "seatrial_model_max_age_seconds",
    "seatrial_retraining_stopped",
    "seatrial_retraining_waits_for_approval",
}


def condition(type_: str, status: ConditionStatus) -> Condition:
    return Condition(
        type=type_,
        status=status,
        reason="Promoted",
        message="",
        observed_generation=1,
        last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def told(*conditions: Condition) -> Status:
    return Status(conditions=conditions)


@pytest.fixture
def metrics() -> telemetry.Telemetry:
    return telemetry.Telemetry()


def test_names_follow_the_conventions(metrics: telemetry.Telemetry) -> None:
    families = [family for family in metrics.registry.collect() if not family.name.startswith("process_")]
    assert {family.name for family in families} == EXPECTED
    for family in families:
        assert re.fullmatch(r"seatrial_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        if family.type == "gauge":
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))


def test_a_condition_is_one_of_three_states(metrics: telemetry.Telemetry) -> None:
    metrics.tell(CHURN, told(condition("Ready", ConditionStatus.TRUE)))
    assert states(metrics, CHURN, "Ready") == {"True": 1, "False": 0, "Unknown": 0}
    metrics.tell(CHURN, told(condition("Ready", ConditionStatus.FALSE)))
    assert states(metrics, CHURN, "Ready") == {"True": 0, "False": 1, "Unknown": 0}


def test_a_condition_that_is_gone_and_an_object_that_is_gone_leave_no_series(metrics: telemetry.Telemetry) -> None:
    both = [condition("Ready", ConditionStatus.TRUE), condition("Stalled", ConditionStatus.TRUE)]
    metrics.tell(CHURN, told(*both))
    metrics.tell(CHURN, told(*both[:1]))
    assert states(metrics, CHURN, "Stalled") == {}
    metrics.forget(CHURN)
    metrics.forget(CHURN)
    assert series_of(metrics, CHURN) == []


def test_the_number_of_metered_objects_is_bounded(
    metrics: telemetry.Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "OBJECTS_METERED", 1)
    for key in (CHURN, Key("shop", "fraud")):
        metrics.tell(key, told(condition("Ready", ConditionStatus.TRUE)))
        metrics.follows(key, trained=True)
    assert series_of(metrics, Key("shop", "fraud")) == []
    assert metrics.registry.get_sample_value("seatrial_modeldeployment_unmetered") == 1


def test_the_first_of_whatever_has_a_reason_is_seen_by_increase(metrics: telemetry.Telemetry) -> None:
    for reason in telemetry.ROLLBACK_REASONS:
        assert metrics.registry.get_sample_value("seatrial_rollbacks_total", {"reason": reason}) == 0
    for trigger in Trigger:
        labels = {"trigger": trigger, "outcome": "Failed"}
        assert metrics.registry.get_sample_value("seatrial_retraining_runs_total", labels) == 0
    assert {"ErrorsRegressed", "LatencyAboveMaximum", "CrashLoop", "Aborted"} <= set(telemetry.ROLLBACK_REASONS)


def test_gauges_that_nobody_sets_are_read_at_the_scrape(metrics: telemetry.Telemetry) -> None:
    waiting = [3]
    metrics.watch(depth=lambda: waiting[0], leading=lambda: True)
    waiting[0] = 4
    assert "seatrial_queue_depth 4.0" in metrics.text().decode()
    assert "seatrial_leader 1.0" in metrics.text().decode()


def test_a_run_is_counted_by_what_becomes_of_it(metrics: telemetry.Telemetry) -> None:
    metrics.run_became("Drift", "Trained")
    labels = {"trigger": "Drift", "outcome": "Trained"}
    assert metrics.registry.get_sample_value("seatrial_retraining_runs_total", labels) == 1


def test_what_serves_in_place_of_git_has_a_series_as_long_as_it_does(metrics: telemetry.Telemetry) -> None:
    key = Key("shop", "churn")
    labels = {"deployment_namespace": "shop", "deployment": "churn"}
    metrics.follows(key, trained=True)
    assert metrics.registry.get_sample_value("seatrial_serves_other_than_git", labels) == 1
    metrics.follows(key, trained=False)
    assert metrics.registry.get_sample_value("seatrial_serves_other_than_git", labels) is None
    metrics.follows(key, trained=True)
    metrics.forget(key)
    assert metrics.registry.get_sample_value("seatrial_serves_other_than_git", labels) is None


def states(metrics: telemetry.Telemetry, key: Key, type_: str) -> dict[str, float]:
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            labels = sample.labels
            named = labels.get("deployment_namespace"), labels.get("deployment")
            if labels.get("type") == type_ and named == (key.namespace, key.name):
                found[labels["status"]] = sample.value
    return found


def series_of(metrics: telemetry.Telemetry, key: Key) -> list[str]:
    return [
        sample.name
        for family in metrics.registry.collect()
        for sample in family.samples
        if (sample.labels.get("deployment_namespace"), sample.labels.get("deployment")) == (key.namespace, key.name)
    ]


def test_a_model_has_the_series_that_are_asked_for_and_no_others(metrics: telemetry.Telemetry) -> None:
    own = {"deployment_namespace": "shop", "deployment": "churn"}
    metrics.training(CHURN, {("promoted", ""): 7.0, ("stopped", ""): 1.0})
    metrics.quality(CHURN, {("wrong", "measured"): 0.1, ("wrong", "limit"): 0.2})
    metrics.quality(CHURN, {("wrong", "limit"): 0.3})
    values = metrics.registry.get_sample_value
    assert values("seatrial_model_promoted_timestamp_seconds", own) == 7
    assert values("seatrial_quality_wrong_ratio", {**own, "kind": "limit"}) == 0.3
    assert values("seatrial_quality_wrong_ratio", {**own, "kind": "measured"}) is None
    metrics.forget(CHURN)
    metrics.quality(CHURN, {})
    assert series_of(metrics, CHURN) == []


def test_what_a_status_says_of_age_and_training() -> None:
    stable = Stable(revision="r", model_version="7", sha256="f" * 64, since=datetime(2026, 1, 1, tzinfo=UTC))
    waits = Retraining(state=RetrainingState.ADOPTING, reason=Reason.WAITING_FOR_APPROVAL)
    wish = spec.Retraining(cron_job="train", max_age=spec.Duration.parse("24h"))
    plain = model_metrics.of_training(Status(stable=stable, retraining=waits), None)
    assert plain == {("promoted", ""): stable.since.timestamp()}
    assert model_metrics.of_training(Status(stable=stable, retraining=waits), wish) == {
        **plain,
        ("oldest", ""): 86400.0,
        ("stopped", ""): 0.0,
        ("waits", ""): 1.0,
    }
    stopped = Retraining(state=RetrainingState.STOPPED, reason=Reason.RETRAINING_STOPPED)
    assert model_metrics.of_training(Status(retraining=stopped), wish)["stopped", ""] == 1
