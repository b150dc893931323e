"""Watching a model that serves: what is said when, and what becomes of it when something is missing or wrong."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from tests.unit.control.drift_scene import EVEN, HIGH, INCOME, KEY, MANY_MISSING, Scene
from tests.unit.drift import build as drifts

from seatrial.cluster import access, errors
from seatrial.drift import windows

DAY = windows.DAY


async def calm(days: int = 1) -> Scene:
    """A model that has served so many days like its reference."""
    there = Scene()
    await there.serve(days * DAY)
    return there


async def drifted() -> Scene:
    there = await calm(2)
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")
    return there


async def test_nothing_is_said_of_a_version_before_a_whole_day_of_it_was_seen():
    there = Scene()
    await there.look()
    assert there.said == ("Unknown", "MetricsUnavailable")
    await there.serve(20)
    assert there.said == ("Unknown", "MetricsUnavailable")
    await there.serve(4)
    assert there.said == ("False", "NoDrift")
    assert there.drift.outcome == "Clean"


async def test_a_shift_is_told_in_words_of_values_once():
    there = await drifted()
    assert "income" in there.message
    assert "above 50000" in there.message
    [column] = there.drift.columns
    assert (column.name, column.test, column.bad_data) == ("income", "Shape", False)
    assert there.events.count("DriftDetected") == 1
    await there.serve(6, HIGH)
    assert there.events.count("DriftDetected") == 1
    assert not there.drift.bad_data


async def test_missing_values_are_bad_data():
    there = await calm(2)
    await there.serve(2, MANY_MISSING)
    assert there.said == ("True", "InvalidData")
    assert there.drift.bad_data
    assert b'seatrial_drift_alarms{deployment="churn",deployment_namespace="shop",test="Missing"} 1.0' in (
        there.telemetry.text()
    )


async def test_status_is_written_when_something_changes_and_once_a_day():
    there = await calm(2)
    versions = set()
    for _ in range(3 * DAY):
        await there.serve(1)
        versions.add(there.get("ModelDeployment")["metadata"]["resourceVersion"])
    assert len(versions) <= 4


async def test_an_hour_costs_one_question_about_two_moments():
    there = await calm()
    there.prometheus.questions.clear()
    await there.serve(5)
    for _ in range(5):
        await there.look()
    assert [end - start for start, end, _ in there.prometheus.questions] == [3600] * 5


async def test_an_outage_of_a_few_hours_costs_no_rows_and_is_said():
    there = await calm(2)
    there.prometheus.down = "connection refused"
    await there.serve(5)
    assert there.said == ("Unknown", "MetricsUnavailable")
    assert "connection refused" in there.message
    there.prometheus.down = ""
    there.seconds += 1000
    await there.look()
    assert there.said == ("False", "NoDrift")
    start, end, _ = there.prometheus.questions[-1]
    assert end - start == 5 * 3600


async def test_an_outage_of_two_days_leaves_a_gap_and_the_day_after_it_is_judged():
    there = await calm(3)
    there.prometheus.down = "connection refused"
    await there.serve(2 * DAY)
    there.prometheus.down = ""
    there.prometheus.scraped = {moment: {} for moment in there.prometheus.scraped}
    await there.serve(2)
    assert there.said == ("Unknown", "MetricsUnavailable")
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_an_alarm_stands_through_an_outage():
    there = await drifted()
    there.prometheus.down = "connection refused"
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")


async def test_a_prometheus_that_is_away_is_asked_seldom():
    there = await calm()
    there.prometheus.down, there.prometheus.questions[:] = "connection refused", []
    await there.serve(1)
    for _ in range(3600):
        there.seconds += 1
        await there.look()
    assert len(there.prometheus.questions) <= 8


async def test_another_operator_goes_on_where_the_last_one_stopped():
    there = await calm(2)
    await there.serve(7)
    there.start_operator()
    await there.serve(3)
    assert there.said == ("False", "NoDrift")
    await there.serve(23, HIGH)
    assert there.said == ("True", "FeatureDrift")
    there.start_operator()
    await there.look()
    assert there.said == ("True", "FeatureDrift")
    assert there.events.count("DriftDetected") == 1


OLDER = zlib.compress(json.dumps({"version": 0, "revision": "r1", "hour": 3600, "state": {"columns": {}}}).encode())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param("%%%", id="no base64"),
        pytest.param(b"\x00" * 100, id="garbage"),
        pytest.param(OLDER, id="an older version"),
        pytest.param(zlib.compress(b"{}"), id="nothing in it"),
        pytest.param(zlib.compress(b"[" * 100_000), id="deep"),
        pytest.param(zlib.compress(b" " * 40_000_000), id="a bomb"),
    ],
)
async def test_a_state_that_somebody_spoilt_fills_anew(content):
    there = await calm(9)
    there.keep(content)
    there.start_operator()
    await there.serve(1)
    assert there.said == ("False", "NoDrift")  # the last day could be read again
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")


async def test_a_state_that_is_gone_is_written_again():
    there = await calm(3)
    del there.cluster.objects["ConfigMap", "shop", "churn-r1-drift"]
    await there.serve(DAY)
    assert there.state
    assert there.said == ("False", "NoDrift")


async def test_a_state_from_a_restored_backup_does_not_stop_the_watch():
    there = await calm(3)
    old = dict(there.state)
    await there.serve(5 * DAY)
    there.cluster.objects["ConfigMap", "shop", "churn-r1-drift"] = old
    there.start_operator()
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_a_state_of_the_future_is_left_behind():
    there = await calm(3)
    there.seconds -= 2 * DAY * 3600
    there.start_operator()
    await there.look()
    assert there.said[0] in ("Unknown", "False")
    there.seconds += 2 * DAY * 3600
    there.start_operator()
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_a_clock_that_jumps_ahead_for_a_moment_ends_nothing():
    there = await calm(3)
    there.seconds += 40 * DAY * 3600
    await there.look()
    there.seconds -= 40 * DAY * 3600
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_two_operators_lose_nothing_that_either_has_found():
    there = await calm(2)
    first, second = there.operator, there.start_operator()
    for _ in range(2 * DAY):
        await there.serve(1, HIGH, looks=False)
        for one in (first, second):
            try:
                await one.look(KEY)
            except errors.Conflict:
                await one.look(KEY)
    assert there.said == ("True", "FeatureDrift")
    assert there.events.count("DriftDetected") <= 2


async def test_another_version_begins_without_the_alarm_of_the_one_before():
    there = await drifted()
    there.promote("r2")
    await there.look()
    assert there.said == ("Unknown", "MetricsUnavailable")
    assert (there.drift.revision, there.drift.columns) == ("r2", ())
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")
    there.promote("r1")
    await there.look()
    assert there.said == ("True", "FeatureDrift")


async def test_accepted_drift_is_what_is_held_against_from_then_on():
    there = await drifted()
    there.accept("because of the new tariff")
    await there.look()
    assert there.said == ("False", "DriftAccepted")
    assert there.drift.accepted_at is not None
    assert there.status.commands.accept_drift == "because of the new tariff"
    assert there.events.count("DriftAccepted") == 1
    await there.serve(8 * DAY, HIGH)
    assert there.said == ("False", "DriftAccepted")
    there.start_operator()
    await there.serve(1, HIGH)
    assert there.said == ("False", "DriftAccepted")
    await there.serve(2 * DAY, EVEN)
    assert there.said == ("True", "FeatureDrift")
    assert there.events.count("DriftAccepted") == 1


async def test_a_token_that_came_when_nothing_had_drifted_accepts_nothing_later():
    there = await calm(2)
    there.accept("early")
    await there.look()
    assert "CommandIgnored" in there.events
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")


async def test_a_crash_between_state_and_status_accepts_once():
    there = await drifted()
    there.accept("t")

    def before(method: str) -> None:
        if method == "write_status":
            raise errors.Unavailable("the operator dies here")

    there.cluster.before = before
    with pytest.raises(errors.Unavailable):
        await there.look()
    there.cluster.before = lambda method: None
    there.start_operator()
    await there.look()
    assert there.said == ("False", "DriftAccepted")
    assert there.status.commands.accept_drift == "t"


async def test_what_was_accepted_is_on_file_before_the_command_counts_as_followed():
    there = await drifted()
    there.accept("t")

    def away(method: str) -> None:
        if method in ("create", "replace"):
            raise errors.Unavailable("the API server is away")

    there.cluster.before = away
    with pytest.raises(errors.Unavailable):
        await there.look()
    there.cluster.before = lambda method: None
    await there.look()
    assert there.status.commands.accept_drift == "t"
    there.start_operator()
    await there.serve(1, HIGH)
    assert there.said == ("False", "DriftAccepted")


async def test_a_command_is_followed_though_somebody_touches_the_state_at_that_moment():
    there = await drifted()
    before = there.state["metadata"]["resourceVersion"]
    while there.state["metadata"]["resourceVersion"] == before:
        await there.serve(1, HIGH)  # until what is on file is as new as what is known
    there.accept("t")
    there.state["metadata"]["resourceVersion"] += "0"
    with pytest.raises(errors.Conflict):
        await there.look()
    await there.look()
    assert there.said == ("False", "DriftAccepted")
    assert "CommandIgnored" not in there.events


async def test_a_state_that_may_not_be_written_keeps_no_alarm_from_being_said():
    there = Scene()

    def admit(wanted: access.Object) -> None:
        if wanted["kind"] == "ConfigMap":
            raise errors.Refused(403, reason="Forbidden", message="exceeded quota: count/configmaps=5")

    there.cluster.admit = admit
    await there.serve(2 * DAY)
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")
    there.accept("t")
    await there.look()
    assert there.status.commands.accept_drift == ""
    there.cluster.admit = lambda wanted: None
    await there.look()
    assert there.status.commands.accept_drift == "t"
    there.start_operator()
    await there.serve(1, HIGH)
    assert there.said == ("False", "DriftAccepted")


async def test_switched_off_nothing_is_asked_or_said():
    there = await drifted()
    there.wish(mode="Off")
    there.prometheus.questions.clear()
    await there.serve(3, HIGH)
    assert there.prometheus.questions == []
    assert there.status.drift is None
    assert [one for one in there.status.conditions if one.type == "Drifted"] == []
    assert b"seatrial_drift_alarms{" not in there.telemetry.text()


async def test_another_tolerance_is_judged_at_once():
    there = await drifted()
    there.wish(ignore=["income"])
    await there.look()
    assert there.said[0] != "True"


INFLUENCES = drifts.attributions(shares={"income": 0.7, "age": 0.3})
UNSUPPORTED = ("False", "MonitoringUnsupported")
AS_TRIED = (0, 0, 0, 0, 70, 30)
TURNED = (0, 0, 0, 0, 10, 90)


async def attributed(*, wished: bool = True, known: bool = True) -> Scene:
    """Two days like the reference."""
    there = Scene((INCOME, INFLUENCES) if known else (INCOME,))
    if wished:
        there.wish_for_attributions()
    await there.serve(2 * DAY, {"income": EVEN, INFLUENCES.name: AS_TRIED})
    return there


async def test_another_feature_that_decides_is_told_in_words_while_the_values_are_as_ever():
    there = await attributed()
    assert there.said == ("False", "NoDrift")
    await there.serve(DAY, {"income": EVEN, INFLUENCES.name: TURNED})
    assert there.said == ("True", "AttributionDrift")
    assert "most influential feature" in there.message
    assert "decided by age" in there.message
    [column] = there.drift.columns
    assert (column.kind, column.test, column.bad_data) == ("Attribution", "Shape", False)


async def test_attributions_that_nobody_asked_for_are_not_judged_and_change_no_bound():
    there, plain = await attributed(wished=False), await calm(2)
    await there.serve(DAY, {"income": HIGH, INFLUENCES.name: TURNED})
    await plain.serve(DAY, HIGH)
    assert there.message == plain.message
    there.wish_for_attributions(0)
    await there.serve(DAY, {"income": EVEN, INFLUENCES.name: TURNED})
    assert {column.kind for column in there.drift.columns} <= {"Feature"}


async def test_attributions_begin_when_they_are_asked_for_and_end_when_they_are_not():
    there = await attributed(wished=False)
    there.wish_for_attributions()
    await there.serve(2 * DAY, {"income": EVEN, INFLUENCES.name: TURNED})
    assert there.said == ("True", "AttributionDrift")
    there.wish_for_attributions(None)
    await there.look()
    assert there.said == ("False", "NoDrift")


async def test_a_report_without_attributions_is_said_where_they_are_asked_for():
    there = await attributed(known=False)
    assert (there.said, there.drift.outcome) == (UNSUPPORTED, "Clean")
    assert "no attributions are judged" in there.message
    assert "leave out spec.monitoring.attributions" in there.message
    there.wish_for_attributions(None)
    await there.look()
    assert there.said == ("False", "NoDrift")
    assert "attributions" not in there.message


async def test_attributions_that_cannot_be_had_hide_nothing_that_is_found_in_the_values():
    there = await attributed(known=False)
    await there.serve(DAY, HIGH)
    assert there.said == ("True", "FeatureDrift")
    assert "no attributions are judged" in there.message
    there.accept("t")
    await there.look()
    assert there.said == ("False", "DriftAccepted")
    assert (there.events.count("DriftDetected"), there.events.count("DriftCleared")) == (1, 0)


async def test_attributions_that_cannot_be_had_are_written_once_and_cost_no_question():
    there, plain = await attributed(known=False), await attributed(wished=False, known=False)
    versions = set()
    for one in (there, plain):
        one.prometheus.questions.clear()
    for hour in range(20):
        if hour == 10:
            there.start_operator()
        for one in (there, plain):
            await one.serve(1)
            await one.look()
        versions.add(there.get("ModelDeployment")["metadata"]["resourceVersion"])
        assert (there.said, plain.said) == (UNSUPPORTED, ("False", "NoDrift"))
    assert len(versions) <= 2
    assert len(there.prometheus.questions) == len(plain.prometheus.questions)


async def test_pods_that_count_no_attributions_are_judged_by_all_else():
    there = await attributed()
    await there.serve(DAY, {"income": HIGH})
    assert there.said == ("True", "FeatureDrift")


async def test_attributions_that_do_not_fit_one_answer_are_asked_for_by_themselves():
    columns = (*(drifts.numbers(f"c{number}") for number in range(4)), INFLUENCES)
    there = Scene(columns)
    there.wish_for_attributions()
    there.prometheus.most = 80
    rows: dict[str, Any] = {column.name: EVEN for column in columns[:-1]}
    await there.serve(2 * DAY, {**rows, INFLUENCES.name: AS_TRIED})
    assert there.said == ("False", "NoDrift")
    await there.serve(DAY, {**rows, INFLUENCES.name: TURNED})
    assert there.said == ("True", "AttributionDrift")


@pytest.mark.parametrize(
    ("profile", "reason", "words"),
    [
        pytest.param("[]", "NoReference", "no reference rows", id="none"),
        pytest.param("", "MonitoringUnsupported", "older release", id="a server that tells of none"),
        pytest.param('[{"name": "a", "rows": 0}]', "MonitoringUnsupported", "older release", id="an older server"),
        pytest.param('[{"name": "a", "rows": 5}]', "MonitoringUnsupported", "can't be used", id="not whole"),
        pytest.param("3", "MonitoringUnsupported", "can't be used", id="no list"),
    ],
)
async def test_without_a_reference_it_is_said_and_nothing_is_asked(profile: str, reason: str, words: str):
    there = Scene(profile=profile)
    await there.serve(3)
    assert there.said == ("Unknown", reason)
    assert words in there.message
    assert ("seatrial.dev/refresh-image" in there.message) is (reason == "MonitoringUnsupported")
    assert there.prometheus.questions == []


async def test_a_server_without_a_reference_is_said_once_and_not_of_the_version_after_it():
    there = Scene(profile="")
    versions = set()
    for _ in range(2):
        await there.serve(3)
        there.start_operator()
        versions.add(there.get("ModelDeployment")["metadata"]["resourceVersion"])
    assert len(versions) == 1
    there.profile = "[]"
    there.promote("r2")
    await there.look()
    assert there.said == ("Unknown", "NoReference")


async def test_a_report_that_is_gone_is_said():
    there = Scene()
    del there.cluster.objects["ConfigMap", "shop", "churn-r1"]
    await there.look()
    assert there.said == ("Unknown", "NoReference")


async def test_a_report_that_comes_back_is_used():
    there = Scene()
    gone = there.cluster.objects.pop(("ConfigMap", "shop", "churn-r1"))
    await there.look()
    there.cluster.objects["ConfigMap", "shop", "churn-r1"] = gone
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_an_answer_that_does_not_fit_is_asked_for_in_pieces_and_then_at_once_in_these():
    columns = tuple(drifts.numbers(f"c{number}") for number in range(8))
    there = Scene(columns)
    there.prometheus.most = 60
    rows: dict[str, Any] = {column.name: EVEN for column in columns}
    await there.serve(DAY, rows)
    assert there.said == ("False", "NoDrift")
    there.prometheus.questions.clear()
    await there.serve(1, rows)
    assert len(there.prometheus.questions) == 4


async def test_hours_in_which_most_pods_were_not_seen_are_gaps():
    there = Scene()
    seen = there.prometheus.scrape
    there.prometheus.scrape = lambda moment, pods: seen(moment, {"r1": {"churn-r1-a"}})  # type: ignore[method-assign]
    await there.serve(2 * DAY)
    assert there.said == ("Unknown", "MetricsUnavailable")


async def test_pods_that_are_scraped_twice_count_once():
    """By two replicas of Prometheus behind Thanos, each with external labels of its own."""
    there = Scene()
    there.prometheus.more = lambda labels: [{**labels, "prometheus_replica": one} for one in ("a", "b")]
    await there.serve(DAY)
    await there.serve(1, MANY_MISSING)
    [missing] = [one for one in there.drift.columns if one.test == "Missing"]
    assert missing.rows == 2 * sum(MANY_MISSING)


async def test_series_that_somebody_else_exports_count_for_nothing():
    there = Scene()
    there.prometheus.more = lambda labels: [{**labels, "namespace": "elsewhere"}]
    await there.serve(DAY)
    assert there.said == ("Unknown", "MetricsUnavailable")
    assert "elsewhere" in there.message


async def test_a_batch_job_that_floods_one_value_for_an_hour_is_no_drift():
    """A third of the rows is of one bin, all in one pod: the split between pods says that they come in clumps."""
    there = await calm(3)
    flooded, usual = (0, 0, 1000, *(100,) * 9, 0), {"income": EVEN}
    for pod in there.pods["r1"]:
        there.prometheus.serve("r1", pod, {"income": flooded} if pod.endswith("a") else usual)
    there.pods, alive = {"r1": set()}, there.pods
    there.prometheus.scrape(there.hours.end(there.hour_now), alive)
    there.seconds += there.hours.end(there.hour_now) + there.hours.settle + 1 - there.now
    there.hour_now, there.pods = there.hour_now + 1, alive
    await there.look()
    assert there.said[0] == "False"
    await there.serve(DAY)
    assert there.said == ("False", "NoDrift")


async def test_an_object_that_is_gone_leaves_nothing():
    there = await drifted()
    del there.cluster.objects["ModelDeployment", "shop", "churn"]
    await there.look()
    assert b"seatrial_drift_alarms{" not in there.telemetry.text()


async def test_a_spec_that_cannot_be_read_changes_nothing():
    there = await drifted()
    there.get("ModelDeployment")["spec"] = {"model": 3}
    await there.look()
    assert there.said == ("True", "FeatureDrift")


def test_the_column_of_the_scene_is_the_one_of_the_words():
    assert INCOME.edges[5] == 50_000


def exposition(name: str, rows: tuple[int, ...]) -> bytes:
    """What a server exports, beside much else."""
    own = 'deployment="churn",deployment_namespace="shop",revision="r1"'
    lines = [
        f'seatrial_feature_rows_total{{{own},feature="income",bin="{bin_}"}} {count}'
        for bin_, count in zip(INCOME.bins, rows, strict=True)
    ]
    other = f'seatrial_feature_rows_total{{{own.replace("r1", "r0")},feature="income",bin="1"}} 7'
    return "\n".join(["# TYPE seatrial_feature_rows_total counter", f"{name} 1", *lines, other, ""]).encode()


async def test_where_no_prometheus_is_configured_the_pods_are_read():
    totals = dict.fromkeys(("a", "b"), (0,) * len(INCOME.bins))
    there = Scene()
    addresses = {there.get("Pod", f"churn-r1-{pod}")["status"]["podIP"]: pod for pod in totals}

    async def fetch(ip: str) -> bytes | str:
        return exposition("up", totals[addresses[ip]])

    there.read_directly(fetch)
    for rows in [EVEN] * 30 + [MANY_MISSING] * 3:
        for pod, before in totals.items():
            totals[pod] = tuple(old + new for old, new in zip(before, rows, strict=True))
        await there.serve(1)
        if rows == EVEN and there.said != ("Unknown", "MetricsUnavailable"):
            assert there.said == ("False", "NoDrift")
    assert there.said == ("True", "InvalidData")
    assert there.prometheus.questions == []


async def test_pods_that_do_not_answer_are_a_gap():
    there = Scene()

    async def fetch(ip: str) -> bytes | str:
        return "connection refused"

    there.read_directly(fetch)
    await there.serve(3)
    assert there.said == ("Unknown", "MetricsUnavailable")


async def test_a_thousand_objects_cost_less_than_one_question_in_three_seconds():
    """Each its own minute, one question an hour: what one costs in a day, times a thousand."""
    there = await calm()
    there.prometheus.questions.clear()
    await there.serve(DAY)
    assert 1000 * len(there.prometheus.questions) / 86400 < 0.3
