"""The shipped alerts and recorded series, judged by promtool: each fires for its trouble and is silent without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.harness import binaries, errors, progress, shell
from tests.contract import charts
from tests.unit.server import test_telemetry as served

from seatrial.api import reasons
from seatrial.api.status import Reason
from seatrial.cli import runbooks
from seatrial.control import telemetry
from seatrial_server.observe import telemetry as server

pytestmark = pytest.mark.timeout(900)  # promtool is built the first time

RULES = charts.CHART / "files" / "rules.yaml"
CHURN = 'deployment_namespace="shop",deployment="churn"'
CONDITION = "seatrial_modeldeployment_condition"
LABELS = {"deployment_namespace": "shop", "deployment": "churn"}


def promtool(*arguments: str | Path) -> str:
    binaries.ensure(binaries.PROMTOOL, say=progress.silent)
    return shell.run([binaries.PROMTOOL.path(), *arguments])


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(RULES.read_text())
    return loaded


def rules() -> list[dict[str, Any]]:
    return [rule for group in document()["groups"] for rule in group["rules"]]


def condition(kind: str, status: str, values: str) -> dict[str, str]:
    return {"series": f'{CONDITION}{{{CHURN},type="{kind}",status="{status}"}}', "values": values}


def one_of(metric: str, values: str, **labels: str) -> dict[str, str]:
    """A series of the object."""
    pairs = ",".join([CHURN, *(f'{name}="{text}"' for name, text in labels.items())])
    return {"series": f"seatrial_{metric}{{{pairs}}}", "values": values}


def requests(outcome: str, per_minute: int, minutes: int) -> dict[str, str]:
    series = f'seatrial_requests_total{{{CHURN},revision="r",pod="a",outcome="{outcome}"}}'
    return {"series": series, "values": f"0+{per_minute}x{minutes}"}


class Case:
    """An alert, what makes it fire, when, with which labels; and what it is silent about. `longer` is a longer window
    that has seen enough by then, too.
    """

    def __init__(
        self,
        name: str,
        *,
        after: str,
        labels: dict[str, str],
        fires: list[dict[str, str]],
        quiet: list[dict[str, str]],
        longer: str = "",
    ) -> None:
        self.name, self.after, self.fires, self.quiet = name, after, fires, quiet
        self.labels = [labels, *([{**labels, "window": longer}] if longer else [])]


LEADER = 'seatrial_leader{namespace="ops",job="operator",pod="%s"}'
CASES = [
    Case(
        "SeatrialNoLeader", after="10m", labels={"severity": "critical", "namespace": "ops", "job": "operator"},
        fires=[{"series": LEADER % "a", "values": "0x20"}, {"series": LEADER % "b", "values": "0x20"}],
        quiet=[{"series": LEADER % "a", "values": "0x20"}, {"series": LEADER % "b", "values": "1x20"}],
    ),
    Case(
        "SeatrialNoLeader", after="10m", labels={"severity": "critical"},
        fires=[{"series": "up", "values": "1x20"}],
        quiet=[{"series": LEADER % "a", "values": "1x20"}],
    ),
    Case(
        "SeatrialReconcileErrors", after="40m",
        labels={"severity": "warning", "namespace": "ops", "error": "ClusterError"},
        fires=[{"series": 'seatrial_reconcile_errors_total{namespace="ops",error="ClusterError"}', "values": "0+5x60"}],
        quiet=[{"series": 'seatrial_reconcile_errors_total{namespace="ops",error="ClusterError"}', "values": "0+1x60"}],
    ),
    Case(
        "SeatrialEventsLost", after="90m", labels={"severity": "info", "namespace": "ops"},
        fires=[{"series": 'seatrial_event_failures_total{namespace="ops"}', "values": "0+1x120"}],
        quiet=[{"series": 'seatrial_event_failures_total{namespace="ops"}', "values": "3x120"}],
    ),
    Case(
        "SeatrialUnmetered", after="20m", labels={"severity": "info", "namespace": "ops"},
        fires=[{"series": 'seatrial_modeldeployment_unmetered{namespace="ops"}', "values": "7x30"}],
        quiet=[{"series": 'seatrial_modeldeployment_unmetered{namespace="ops"}', "values": "0x30"}],
    ),
    Case(
        "SeatrialRolledBack", after="10m",
        labels={"severity": "warning", "namespace": "ops", "reason": "ErrorsRegressed"},
        fires=[{"series": 'seatrial_rollbacks_total{namespace="ops",reason="ErrorsRegressed"}', "values": "0x5 1x10"}],
        quiet=[{"series": 'seatrial_rollbacks_total{namespace="ops",reason="ErrorsRegressed"}', "values": "4x20"}],
    ),
    Case(
        "SeatrialStalled", after="10m", labels={"severity": "warning", **LABELS},
        fires=[condition("Stalled", "True", "1x20")],
        quiet=[condition("Stalled", "True", "0x6 1x1 0x20"), condition("Stalled", "False", "1x20")],
    ),
    Case(
        "SeatrialStuck", after="7h", labels={"severity": "warning", **LABELS},
        fires=[condition("Reconciling", "True", "1x500")],
        quiet=[condition("Reconciling", "True", "1x200 0x10 1x300")],
    ),
    Case(
        "SeatrialBlind", after="10m", labels={"severity": "warning", **LABELS},
        fires=[condition("Analyzed", "False", "1x20"), condition("Reconciling", "True", "1x20")],
        quiet=[condition("Analyzed", "False", "1x20"), condition("Reconciling", "True", "0x20")],
    ),
    Case(
        "SeatrialDrifted", after="10m", labels={"severity": "warning", **LABELS},
        fires=[condition("Drifted", "True", "1x20")],
        quiet=[condition("Drifted", "True", "0x20"), condition("Drifted", "Unknown", "1x20")],
    ),
    Case(
        "SeatrialInvalidData", after="10m", labels={"severity": "critical", **LABELS},
        fires=[one_of("drift_alarms", "2x20", test="Missing"), one_of("drift_alarms", "0x20", test="Shape")],
        quiet=[one_of("drift_alarms", "0x20", test="Missing"), one_of("drift_alarms", "3x20", test="Shape")],
    ),
    Case(
        "SeatrialQualityDropped", after="10m", labels={"severity": "critical", **LABELS},
        fires=[condition("QualityDropped", "True", "1x20")],
        quiet=[condition("QualityDropped", "True", "0x20"), condition("QualityDropped", "Unknown", "1x20")],
    ),
    Case(
        "SeatrialLabelsMissing", after="31h", labels={"severity": "warning", **LABELS},
        fires=[one_of("quality_labels_missing", "1x2000")],
        quiet=[one_of("quality_labels_missing", "0x300 1x1500 0x200")],
    ),
    Case(
        "SeatrialRetrainingStopped", after="10m", labels={"severity": "warning", **LABELS},
        fires=[one_of("retraining_stopped", "1x20")],
        quiet=[one_of("retraining_stopped", "0x20")],
    ),
    Case(
        "SeatrialRetrainingWaits", after="25h", labels={"severity": "info", **LABELS},
        fires=[one_of("retraining_waits_for_approval", "1x1600")],
        quiet=[one_of("retraining_waits_for_approval", "1x700 0x100 1x800")],
    ),
    Case(
        "SeatrialServesOtherThanGit", after="25h", labels={"severity": "info", **LABELS},
        fires=[one_of("serves_other_than_git", "1x1600")],
        quiet=[one_of("serves_other_than_git", "_x700 1x900")],
    ),
    Case(
        "SeatrialModelOld", after="50h", labels={"severity": "info", **LABELS},
        fires=[one_of("model_promoted_timestamp_seconds", "0x3100"), one_of("model_max_age_seconds", "86400x3100")],
        quiet=[
            one_of("model_promoted_timestamp_seconds", "0x1900 108000x1200"),
            one_of("model_max_age_seconds", "86400x3100"),
        ],
    ),
    Case(
        "SeatrialModelOld", after="51h", labels={"severity": "info", **LABELS},
        fires=[one_of("model_promoted_timestamp_seconds", "0x3100"), one_of("model_max_age_seconds", "3600x3100")],
        quiet=[one_of("model_promoted_timestamp_seconds", "0x3100")],
    ),
    Case(
        "SeatrialSamplesDropped", after="40m", labels={"severity": "warning", **LABELS},
        fires=[
            one_of("samples_total", "0+97x60", outcome="sent"),
            one_of("samples_total", "0+3x60", outcome="failed"),
        ],
        quiet=[
            one_of("samples_total", "0+500x60", outcome="sent"),
            one_of("samples_total", "0+3x60", outcome="dropped"),
        ],
    ),
    Case(
        "SeatrialUnavailable", after="20m", labels={"severity": "critical", **LABELS},
        fires=[condition("Available", "False", "1x30")],
        quiet=[condition("Available", "False", "0x30"), condition("Available", "True", "1x30")],
    ),
    Case(
        "SeatrialErrorBudgetBurn", after="90m", labels={"severity": "critical", "window": "1h", **LABELS}, longer="6h",
        fires=[requests("ok", 80, 120), requests("error", 20, 120)],
        quiet=[requests("ok", 95, 120), requests("error", 5, 120), requests("rejected", 50, 120)],
    ),
    Case(
        "SeatrialErrorBudgetBurn", after="8h", labels={"severity": "critical", "window": "6h", **LABELS},
        fires=[requests("ok", 92, 600), requests("shed", 8, 600)],
        quiet=[requests("ok", 98, 600), requests("shed", 2, 600)],
    ),
    Case(
        "SeatrialErrorBudgetLeak", after="26h", labels={"severity": "warning", "window": "1d", **LABELS}, longer="3d",
        fires=[requests("ok", 96, 1800), requests("error", 4, 1800)],
        quiet=[requests("ok", 1000, 1800), requests("error", 8, 1800)],
    ),
    Case(
        "SeatrialErrorBudgetLeak", after="80h", labels={"severity": "warning", "window": "3d", **LABELS},
        fires=[requests("ok", 98, 5000), requests("error", 2, 5000)],
        quiet=[requests("ok", 1000, 5000), requests("error", 8, 5000)],
    ),
]  # fmt: skip


def judged(tmp_path: Path, case: Case, *, fires: bool) -> str:
    """promtool's words on whether the alert fires so."""
    shipped = document()
    for group in shipped["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(shipped))
    expected = [{"exp_labels": labels} for labels in case.labels if fires]
    test = {
        "interval": "1m",
        "input_series": case.fires if fires else case.quiet,
        "alert_rule_test": [{"eval_time": case.after, "alertname": case.name, "exp_alerts": expected}],
    }
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )
    return promtool("test", "rules", tmp_path / "tests.yaml")


def name_of(case: Case) -> str:
    return f"{case.name}-{case.after}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_alert_fires_for_its_trouble(case: Case, tmp_path: Path) -> None:
    assert "SUCCESS" in judged(tmp_path, case, fires=True)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_alert_is_silent_without(case: Case, tmp_path: Path) -> None:
    assert "SUCCESS" in judged(tmp_path, case, fires=False)


def test_every_alert_has_a_case() -> None:
    assert {rule["alert"] for rule in rules() if "alert" in rule} == {case.name for case in CASES}


def test_a_model_that_hardly_anybody_asks_does_not_wake_anybody(tmp_path: Path) -> None:
    (case, *_) = (one for one in CASES if one.name == "SeatrialErrorBudgetBurn")
    few = Case(case.name, after="90m", labels={}, fires=[], quiet=[requests("ok", 0, 120), requests("error", 1, 120)])
    few.quiet = [{**one, "values": "0x80 1x40"} for one in few.quiet]
    assert "SUCCESS" in judged(tmp_path, few, fires=False)


def test_promtool_has_nothing_to_say_about_the_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert "SUCCESS" in said


def test_a_wrong_rule_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.read_text().replace("absent(", "abscent("))
    with pytest.raises(errors.CommandFailed, match="unknown function"):
        promtool("check", "rules", tmp_path / "rules.yaml")


def test_every_series_that_a_rule_reads_is_exported_or_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    registries = (telemetry.Telemetry().registry, server.exposition(served.counters()))
    own = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for registry in registries
        for family in registry.collect()
    }
    read = {
        name for rule in rules() for name in re.findall(r"[a-z_]*:?seatrial_[a-z_0-9]+(?::[a-z_0-9]+)?", rule["expr"])
    }
    assert read - recorded - own == set()


def test_every_alert_says_what_happened_and_has_a_runbook() -> None:
    page = runbooks.alerts(RULES.read_text())
    for rule in rules():
        if "alert" in rule:
            assert {"summary", "description"} <= rule["annotations"].keys()
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            assert f"\n## {rule['alert']}\n" in page


def test_the_catalogue_has_a_line_for_every_reason_and_the_page_shows_it() -> None:
    assert set(reasons.MEANINGS) == set(Reason)
    page = runbooks.reasons()
    assert [reason for reason in Reason if f"| `{reason.value}` |" not in page] == []


def test_every_reason_that_is_counted_as_a_rollback_is_in_its_runbook() -> None:
    page = runbooks.alerts(RULES.read_text())
    section = page[page.index("## SeatrialRolledBack") : page.index("## SeatrialStalled")]
    missing = [one for one in telemetry.ROLLBACK_REASONS if f"`{one.value}`" not in section]
    assert set(missing) <= {Reason.ABORTED, Reason.ROLLED_BACK}, "those are a person's doing, or say nothing more"
