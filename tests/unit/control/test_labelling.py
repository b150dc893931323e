"""Watching the answers of a model that serves: what is said when, and what becomes of it in other people's worlds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.control.label_scene import CLASSES, Scene

from seatrial.cluster import access, errors
from seatrial.control.labelling import controller
from seatrial.drift import columns as columns_

pytestmark = pytest.mark.long
DAY = 24
HOLDS, DROPPED = ("False", "QualityHolds"), ("True", "QualityDropped")
WAITS, MISSING = ("Unknown", "MetricsUnavailable"), ("Unknown", "LabelsMissing")
NO_REFERENCE = ("Unknown", "NoReference")
UNSUPPORTED = ("Unknown", "MonitoringUnsupported")


async def serving(days: int = 4, **scene: Any) -> Scene:
    there = Scene(**scene)
    await there.answer(days * DAY)
    return there


async def dropped() -> Scene:
    there = await serving(3)
    await there.answer(4 * DAY, wrong=0.4)
    assert there.said == DROPPED
    return there


async def test_nothing_is_said_before_all_labels_of_a_whole_day_can_be_there() -> None:
    there = Scene()
    await there.answer(20)
    assert there.said == WAITS
    assert "not there before 20" in there.message
    await there.answer(40)
    assert there.said == HOLDS
    assert "the holdout's upper limit" in there.message


async def test_answers_that_become_worse_are_found_with_their_figures_and_told_once() -> None:
    there = await dropped()
    await there.answer(DAY, wrong=0.4)
    assert there.events.count("QualityDropped") == 1
    figures = there.quality
    assert (figures.outcome, figures.against) == ("Dropped", "Holdout")
    assert float(figures.limit[:-1]) < float(figures.low[:-1]) < float(figures.share[:-1]) < float(figures.high[:-1])
    assert f"{figures.wrong} of {figures.labelled} labelled rows were wrong" in there.message
    text = there.telemetry.text().decode()
    assert 'seatrial_quality_wrong_ratio{deployment="churn",deployment_namespace="shop",kind="measured"}' in text


async def test_an_alarm_ends_after_a_whole_week_within_the_limit() -> None:
    there = await dropped()
    await there.answer(6 * DAY)
    assert there.said == DROPPED
    await there.answer(5 * DAY)
    assert there.said == HOLDS
    assert there.events.count("QualityHolds") == 1


async def test_the_maximum_of_the_spec_is_held_to_without_any_holdout() -> None:
    there = Scene(holdout=None)
    there.get("ModelDeployment")["spec"] = there.wished(max="5%")
    await there.answer(5 * DAY, wrong=0.3)
    assert there.said == DROPPED
    assert there.quality.against == "Maximum"


async def test_another_maximum_is_judged_at_once() -> None:
    there = await serving(4)
    there.get("ModelDeployment")["spec"] = there.wished(max="1%")
    await there.look()
    assert there.said == DROPPED
    there.get("ModelDeployment")["spec"] = there.wished()
    await there.look()
    assert there.said == HOLDS


# labels


async def test_labels_that_come_at_the_very_end_of_the_horizon_count_in_full() -> None:
    there = Scene()
    await there.answer(4 * DAY, delay=(15.0, 15.0))
    assert there.said == HOLDS
    days = there.days
    sent = 40 * 2 * DAY * 0.5 * 0.8  # a fifth of them is later than the horizon
    assert [day.labelled for day in days[1:2]] == [pytest.approx(sent, rel=0.05)]


async def test_labels_that_never_come_are_said_to_be_missing() -> None:
    there = Scene()
    await there.answer(4 * DAY, labelled=0.0)
    assert there.said == MISSING
    assert "no label came back for any" in there.message
    assert there.events.count("LabelsMissing") == 1
    assert "seatrial_quality_labels_missing{" in there.telemetry.text().decode()


async def test_answers_without_tokens_are_told_from_answers_without_labels() -> None:
    there = Scene()
    await there.answer(4 * DAY, rows=0)
    assert there.said == MISSING
    assert "no answer was given a token" in there.message


def without_keys(there: Scene) -> Scene:
    """As an older operator has made its pods."""
    for pod in there.pods[there.revision]:
        there.get("Pod", pod)["spec"]["volumes"] = [{"name": "config"}]
    return there


@pytest.mark.parametrize(
    ("there", "words"),
    [
        pytest.param(lambda: without_keys(Scene()), "no key to sign", id="older pods"),
        pytest.param(lambda: Scene(profile=None), "of a release that gives none", id="an older server"),
        pytest.param(lambda: Scene(profile=[{"name": "a"}]), "of a release that gives none", id="another older server"),
    ],
)
async def test_pods_that_can_give_no_token_are_said_from_the_first_look_on_through_everything(
    there: Callable[[], Scene], words: str
) -> None:
    scene, said = there(), set[tuple[str, str]]()
    for down in ("", "connection refused", ""):
        scene.labels.down = down
        for _ in range(8):
            await scene.answer(4, rows=0)
            said.add(scene.said)
        scene.start_operator()
    assert said == {UNSUPPORTED}
    assert words in scene.message
    assert "seatrial.dev/refresh-image" in scene.message
    assert (scene.events.count("MonitoringUnsupported"), scene.events.count("LabelsMissing")) == (1, 0)
    text = scene.telemetry.text().decode()
    assert 'seatrial_quality_labels_missing{deployment="churn",deployment_namespace="shop"} 1.0' in text


async def test_pods_that_can_give_no_token_cost_no_other_question_than_those_that_can() -> None:
    able, unable = Scene(), without_keys(Scene())
    for one in (able, unable):
        await one.answer(2 * DAY, rows=0)
    assert unable.labels.questions == able.labels.questions


async def test_pods_that_get_their_key_after_all_are_watched() -> None:
    there = without_keys(Scene())
    await there.answer(4, rows=0)
    assert there.said == UNSUPPORTED
    for pod in there.pods[there.revision]:
        there.get("Pod", pod)["spec"]["volumes"] = [{"name": "keys"}]
    await there.answer(3 * DAY)
    assert there.said == HOLDS


async def test_an_alarm_stands_though_pods_can_give_no_token_any_more() -> None:
    there = without_keys(await dropped())
    await there.look()
    assert there.said == DROPPED


async def test_labels_of_a_wrong_type_are_named_as_what_was_refused() -> None:
    there = Scene()
    await there.answer(1, labelled=0.0)
    for pod in there.running.values():
        pod.refused = {"BadLabel": 500, "Late": 0}
    await there.answer(4 * DAY, labelled=0.0)
    assert there.said == MISSING
    assert there.message.endswith("refused: 1000 BadLabel")


async def test_labels_that_stop_coming_are_missing_and_blame_nobody() -> None:
    there = await serving(9)
    await there.answer(3 * DAY, labelled=0.02, wrong=1.0)
    assert there.said == MISSING
    assert "usually for" in there.message


async def test_labels_that_stop_coming_in_the_first_weeks_are_missing_too() -> None:
    there = await serving(9, holdout=None)
    await there.answer(3 * DAY, labelled=0.02)
    assert there.said == MISSING


async def test_weekends_without_labels_are_usual() -> None:
    there, said = Scene(), set[tuple[str, str]]()
    for day in range(17):
        await there.answer(DAY, labelled=0.0 if day % 7 in (5, 6) else 0.5)
        said.add(there.said)
    assert said == {WAITS, HOLDS}
    assert "LabelsMissing" not in there.events


async def test_complaints_alone_are_held_against_the_first_weeks_and_not_against_the_holdout() -> None:
    there = Scene()
    complaints: dict[str, Any] = {"kept": lambda right, actual: not right}
    await there.answer(10 * DAY, **complaints)
    assert there.said == NO_REFERENCE
    assert "labels come for wrong answers only" in there.message
    await there.answer(8 * DAY, **complaints)
    assert there.said == HOLDS
    await there.answer(4 * DAY, wrong=0.3, **complaints)
    assert there.said == DROPPED
    assert there.quality.against == "FirstWeeks"
    assert "answered rows" in there.message


async def test_labels_of_one_class_are_held_against_the_first_weeks() -> None:
    """Only what turned out positive is known, and of that a third is missed: no fair sample of the answers."""
    there = Scene()
    positives: dict[str, Any] = {"kept": lambda right, actual: actual == CLASSES[1], "wrong": 0.35}
    await there.answer(10 * DAY, **positives)
    assert there.said == NO_REFERENCE
    assert "all labels are of one class" in there.message
    await there.answer(8 * DAY, **positives)
    assert there.said == HOLDS
    assert there.quality.against == "FirstWeeks"


async def test_a_pipeline_that_writes_one_class_after_months_of_both_is_an_alarm() -> None:
    there = await serving(4)
    await there.answer(4 * DAY, wrong=0.5, kept=lambda right, actual: actual == CLASSES[0])
    assert there.said == DROPPED


async def test_without_a_holdout_the_first_two_weeks_are_what_later_ones_are_held_against() -> None:
    there = await serving(10, holdout=None)
    assert there.said == NO_REFERENCE
    assert "8 of 14 days with labels are there" in there.message
    await there.answer(8 * DAY)
    assert (there.said, there.quality.against) == (HOLDS, "FirstWeeks")


# metrics


async def test_a_restarted_pod_takes_no_labels_with_it() -> None:
    there, again = await serving(1), Scene()
    await again.answer(DAY)
    there.restart()
    for one in (there, again):
        await one.answer(3 * DAY)
    counted = [one.days for one in (there, again)]
    for lost, whole in zip(*counted, strict=True):
        assert lost.labelled == pytest.approx(whole.labelled, rel=0.02)
        assert lost.rows == pytest.approx(whole.rows, rel=0.02)


async def test_pods_that_restart_all_the_time_are_no_alarm() -> None:
    there = Scene()
    for _ in range(5 * DAY // 6):
        await there.answer(6)
        there.restart()
    assert there.said == HOLDS


async def test_a_prometheus_that_was_away_leaves_out_the_cohorts_of_which_the_end_was_not_seen() -> None:
    """What was wrong is told within the hour, what was right much later: what had come then would blame the model."""
    there, first = Scene(), {"labelled": 1.0, "delay": (12.0, 0.5)}
    await there.answer(3 * DAY, **first)
    assert there.said == HOLDS
    there.labels.down = "connection refused"
    await there.answer(DAY + 6, scraped=False, **first)
    assert there.said == WAITS
    assert "connection refused" in there.message
    there.labels.down = ""
    for _ in range(4):
        await there.answer(DAY, **first)
    assert there.said == HOLDS
    assert "QualityDropped" not in there.events


async def test_a_prometheus_that_has_lost_all_it_knew_is_no_alarm() -> None:
    there = await serving(3)
    there.labels.scraped.clear()
    there.start_operator()
    await there.answer(3 * DAY)
    assert there.said == HOLDS
    assert "LabelsMissing" not in there.events


async def test_an_answer_that_does_not_fit_is_asked_for_in_pieces() -> None:
    there = Scene()
    there.labels.most = 3
    await there.answer(3 * DAY)
    assert there.said == HOLDS


async def test_without_a_prometheus_it_is_said_that_labels_cannot_be_followed() -> None:
    there = Scene()
    there.labels.named = lambda source: False  # type: ignore[method-assign]
    await there.answer(4)
    assert there.said == WAITS
    assert "no Prometheus is configured" in there.message


async def test_counters_of_nobody_we_know_are_no_missing_labels() -> None:
    there = Scene()
    await there.answer(4 * DAY, scraped=False)
    assert there.said == WAITS
    assert "no counters of answers with a token were found" in there.message


# operator and object


async def test_a_new_operator_says_the_same_and_counts_no_cohort_twice() -> None:
    there = await dropped()
    before = there.quality
    days = there.days
    there.start_operator()
    await there.look()
    assert (there.said, there.quality) == (DROPPED, before)
    assert there.days == days
    assert there.events.count("QualityDropped") == 1


async def test_a_spoilt_state_is_written_anew() -> None:
    there = await serving(3)
    name = "churn-r1-quality"
    there.get("ConfigMap", name)["binaryData"] = {controller.FILE: base64.b64encode(b"{}").decode()}
    there.start_operator()
    await there.answer(DAY)
    assert there.said == HOLDS
    assert base64.b64decode(there.get("ConfigMap", name)["binaryData"][controller.FILE]).startswith(b'{"version":1')


async def test_a_state_of_the_future_is_left_behind() -> None:
    there = await serving(3)
    name = "churn-r1-quality"
    document = json.loads(base64.b64decode(there.get("ConfigMap", name)["binaryData"][controller.FILE]))
    document["memory"]["judged"] += 10_000
    spoilt = base64.b64encode(json.dumps(document).encode()).decode()
    there.get("ConfigMap", name)["binaryData"] = {controller.FILE: spoilt}
    there.start_operator()
    await there.answer(3 * DAY, wrong=0.4)
    assert there.said == DROPPED


async def test_a_state_that_may_not_be_written_keeps_nothing_from_being_said() -> None:
    there = Scene()

    def admit(wanted: access.Object) -> None:
        if wanted["kind"] == "ConfigMap":
            raise errors.Refused(403, reason="Forbidden", message="exceeded quota: count/configmaps=5")

    there.cluster.admit = admit
    await there.answer(3 * DAY)
    await there.answer(4 * DAY, wrong=0.4)
    assert there.said == DROPPED
    there.cluster.admit = lambda wanted: None
    await there.look()
    assert there.days


async def test_another_version_begins_anew() -> None:
    there = await dropped()
    there.promote("r2")
    there.running.clear()
    there.get("ModelDeployment")["status"]["stable"]["since"] = there.cluster.server_now().isoformat()
    await there.answer(4)
    assert there.said == WAITS
    assert there.quality.revision == "r2"


async def test_what_is_asked_for_no_more_is_said_no_more() -> None:
    there = await serving(3)
    del there.get("ModelDeployment")["spec"]["monitoring"]["quality"]
    await there.look()
    assert there.status.quality is None
    assert there.status.conditions == ()
    assert b"seatrial_quality_wrong_ratio{" not in there.telemetry.text()


async def test_status_is_written_when_something_changes_and_once_a_day() -> None:
    there, versions = await serving(3), set[str]()
    for _ in range(3 * DAY // 4):
        await there.answer(4)
        versions.add(there.get("ModelDeployment")["metadata"]["resourceVersion"])
    assert len(versions) <= 4


# confidence


SCORES = columns_.Column(
    name="scores",
    bins=("missing", "below", *map(str, range(1, 11)), "above"),
    reference=(0.0, 0.0, *(0.1,) * 10, 0.0),
    rows=2000,
    kind=columns_.Kind.PREDICTION,
)
BINS = {"output": "scores", "rows": [200] * 10, "right": [110, 110, 110, 110, 110, 130, 150, 170, 190, 198]}


async def test_what_confidence_lets_expect_stands_beside_and_decides_nothing() -> None:
    profile = [
        {**{name: getattr(SCORES, name) for name in ("name", "bins", "reference", "rows")}, "kind": "Prediction"}
    ]
    there = Scene(profile=profile, calibrationBins=BINS)
    await there.answer(4 * DAY, score="9")
    assert there.quality.estimated == "5.05%"
    assert "by confidence alone 5.05% would be wrong" in there.message
    await there.answer(2 * DAY, score="6")
    assert there.said == ("False", "QualityEstimatedLower")
    assert there.quality.outcome == "Holds"
    assert 'kind="estimated"' in there.telemetry.text().decode()
