"""Questions and looks: what is judged, what a look says when sources fail, and that proven evidence stands."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import timedelta

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.rollout import build, world

from seatrial.analysis import counters, own_metrics, samples
from seatrial.api.spec import Disagreement, Provider, Traffic
from seatrial.api.status import Reason, Status
from seatrial.api.values import Ratio
from seatrial.cli import replay
from seatrial.rollout import facts, looking, looks, recording, rendering

NOW = build.at(300)
PODS = (
    facts.Pod(name="a", revision=build.name_of("1"), uid="u1", ip="10.0.0.1", ready=True, started_at=build.at(-900)),
    facts.Pod(name="b", revision=build.name_of("2"), uid="u2", ip="10.0.0.2", ready=True, started_at=build.at(-900)),
    facts.Pod(name="z", revision="another", ready=True),
)


def snapshot(**candidate: object) -> facts.Snapshot:
    own = {"step": 1, "weight": 10, "weight_since": build.at(0), **candidate}
    return facts.Snapshot(
        owner=build.OWNER,
        spec=build.spec("2"),
        status=Status(stable=build.STABLE, candidate=build.candidate(**own)),
        wanted=build.record("2"),
        pods=PODS,
        operator=build.OPERATOR,
    )


def question(**candidate: object) -> looking.Question:
    asked = looking.question(snapshot(**candidate), NOW)
    assert asked is not None
    return asked


def series(share: float, *, until: float = 300.0, arms: str = "ab") -> tuple[counters.Series, ...]:
    """Fifty requests a second on each pod; the candidate fails a share of them."""
    found = []
    for name, arm, errors in (("a", counters.Arm.STABLE, 0.005), ("b", counters.Arm.CANDIDATE, share)):
        times = range(-60, round(until) + 1, 5)
        for label, part in (("ok", 1 - errors), ("degraded", 0), ("rejected", 0), ("error", errors)):
            rows = [(build.at(at).timestamp(), round((at + 60) * 50 * part)) for at in times]
            found.append(
                counters.Series(arm=arm, pod=name, counter=counters.Counter.REQUESTS, label=label, samples=rows)
            )
        for edge in ("0.05", "0.1", "+Inf"):
            rows = [(build.at(at).timestamp(), (at + 60) * 50) for at in times]
            found.append(counters.Series(arm=arm, pod=name, counter=counters.Counter.LATENCY, label=edge, samples=rows))
    return tuple(one for one in found if one.pod in arms)


def test_a_question_names_the_pods_of_both_arms_and_nobody_else():
    asked = question()
    assert [(pod.name, pod.uid, pod.ip, pod.arm.value) for pod in asked.pods] == [
        ("a", "u1", "10.0.0.1", "stable"),
        ("b", "u2", "10.0.0.2", "candidate"),
    ]
    assert (asked.steps, asked.window.sliding, asked.window.since) == (2, False, build.at(0))


def test_a_question_without_traffic_slides_and_stays_the_same_subject():
    waiting = {"step": 0, "weight": 0, "weight_since": None, "started_at": build.at(0)}
    early, late = (looking.question(snapshot(**waiting), build.at(at)) for at in (10, 20))
    assert early is not None
    assert late is not None
    assert early.window.sliding
    assert early.window.since != late.window.since
    assert early.subject == late.subject


@pytest.mark.parametrize(
    "change",
    [{"weight_since": build.at(1)}, {"revision": "another"}, {"weight": 100}, {"weight_since": None}],
    ids=lambda change: next(iter(change)),
)
def test_another_window_is_another_subject(change):
    assert question(**change).subject != question().subject


def test_pods_that_come_and_go_are_no_new_subject():
    asked = question()
    assert msgspec.structs.replace(asked, pods=()).subject == asked.subject


def relaying(*, sticky: str | None = None, cover: bool = True, **candidate: object) -> looking.Question:
    """A rollout under way with provider Relay."""
    before = snapshot(**candidate)
    rollout = msgspec.structs.replace(before.spec.rollout, traffic=Traffic(sticky=sticky, cover=cover))
    wish = msgspec.structs.replace(before.spec, rollout=rollout)
    asked = looking.question(msgspec.structs.replace(before, provider=Provider.RELAY, spec=wish), NOW)
    assert asked is not None
    return asked


def test_under_relay_stables_pods_are_asked_what_became_of_the_candidates_requests():
    a, b = relaying().pods
    assert (relaying().given(a), relaying().given(b), relaying().given(None)) == (build.name_of("2"), "", "")
    assert relaying().relay == counters.Relay(by_request=True, copies=False)
    assert question().relay is None


def test_a_header_that_decides_is_no_random_assignment():
    assert relaying(sticky="x-user-id").relay == counters.Relay(by_request=False, paired=True)
    assert relaying(sticky="x-user-id", cover=False).relay == counters.Relay(by_request=False)


def test_a_step_with_a_shadow_has_copies_as_evidence():
    asked = relaying(weight=0, shadow=10)
    assert not asked.window.sliding
    assert asked.relay == counters.Relay(copies=True)


@pytest.mark.parametrize(
    "candidate", [{"weight": 100}, {"step": 0, "weight": 0, "weight_since": None, "started_at": build.at(0)}]
)
def test_who_has_all_traffic_or_none_is_not_relayed_to(candidate: dict[str, object]):
    assert relaying(**candidate).relay is None


def relayed_series(**ends: float) -> tuple[counters.Series, ...]:
    """Fifty requests a second that stable answers, ten that it gives away."""
    found = [one for one in series(0.0) if one.pod == "a" or one.counter is counters.Counter.LATENCY]
    times = range(-60, 301, 5)
    for outcome in samples.GIVEN:
        for label in (outcome, f"{outcome}/covered"):
            rows = [(build.at(at).timestamp(), round((at + 60) * 10 * ends.get(label, 0.0))) for at in times]
            own = {"arm": counters.Arm.STABLE, "pod": "a", "counter": counters.Counter.RELAYED, "label": label}
            found.append(counters.Series(**own, samples=rows))
    return tuple(found)


def test_a_look_under_relay_knows_the_share_and_who_answered():
    series_ = relayed_series(**{"ok": 0.99, "rejected/covered": 0.01})
    seen = looking.judge(relaying(), facts.Sight(series=series_), NOW)
    assert seen.share == pytest.approx(10 / 60, rel=0.01)
    assert seen.candidate_requests == 3000
    assert "stable answered 30 requests in the candidate's place" in seen.message


def test_answers_that_differ_are_said_beside_the_verdict():
    asked = relaying(weight=0, shadow=10)
    analysis = msgspec.structs.replace(asked.analysis, disagreement=Disagreement(max=Ratio.parse("1%")))
    asked = msgspec.structs.replace(asked, analysis=analysis)
    copies = [
        msgspec.structs.replace(one, counter=counters.Counter.COPIES)
        for one in relayed_series(ok=1.0)
        if one.counter is counters.Counter.RELAYED and "/" not in one.label
    ]
    times = range(-60, 301, 5)
    rows = [
        msgspec.structs.replace(
            copies[0],
            counter=counters.Counter.ROWS,
            label=label,
            samples=[(build.at(at).timestamp(), (at + 60) * share) for at in times],
        )
        for label, share in (("same", 8), ("different", 2))
    ]
    seen = looking.judge(asked, facts.Sight(series=(*relayed_series(), *copies, *rows)), NOW)
    assert (seen.outcome, seen.share) == ("Pass", 0)
    assert seen.shift.startswith("disagreement: 600/3000 (20%) rows differ from stable's, 1% may")
    assert "disagreement" not in seen.message


def test_a_step_is_judged_by_the_rate_of_its_attempt():
    assert [question(windows=attempt).attempt for attempt in (1, 2, 7)] == [1, 2, 7]
    assert question(windows=7).limits.false_rollback_rate < question(windows=2).limits.false_rollback_rate


def test_all_attempts_at_a_step_share_its_part_of_the_allowed_rate():
    asked = question()
    rates = [msgspec.structs.replace(asked, attempt=attempt).limits.false_rollback_rate for attempt in range(1, 2000)]
    assert rates == sorted(rates, reverse=True)
    assert sum(rates) <= asked.analysis.false_rollback_rate / 2


BLIND = [
    pytest.param(facts.Sight(error="connection refused"), "Error", id="down"),
    pytest.param(facts.Sight(error="refused with 400", misconfigured=True), "Error", id="misconfigured"),
    pytest.param(facts.Sight(partial="a store is away"), "NoData", id="partial"),
    pytest.param(facts.Sight(), "NoData", id="old samples"),
]


@pytest.mark.parametrize(("sight", "outcome"), BLIND)
def test_without_sight_nothing_passes(sight, outcome):
    old = sight == facts.Sight()
    seen = looking.judge(
        question(), msgspec.structs.replace(sight, series=series(0.005, until=100.0 if old else 300.0)), NOW
    )
    assert (seen.outcome, seen.blind, seen.misconfigured) == (outcome, True, sight.misconfigured)
    assert sight.error in seen.message
    assert sight.partial in seen.message


@pytest.mark.parametrize(("sight", "outcome"), BLIND)
def test_a_regression_that_was_proven_stands_whatever_is_missing_now(sight, outcome):
    seen = looking.judge(question(), msgspec.structs.replace(sight, series=series(0.5, until=100.0)), NOW)
    assert (seen.outcome, seen.reason) == ("Fail", "ErrorsRegressed")
    assert seen.breach_at is not None
    assert seen.breach_at < build.at(100)


def test_a_candidate_is_not_blamed_while_nobody_sees_stable():
    seen = looking.judge(question(), facts.Sight(series=series(0.5, arms="b")), NOW)
    assert seen.outcome == "NoData"
    assert seen.message.startswith("stable: 0 of 1")


@pytest.mark.parametrize("soak", [False, True], ids=["all traffic", "soak"])
def test_whoever_has_all_traffic_is_judged_though_nobody_sees_the_pods_that_are_kept_warm(soak):
    before = snapshot(weight=100)
    if soak:
        warm, serves = build.previous("1", warm_until=build.at(600)), build.stable("2", since=build.at(0))
        before = msgspec.structs.replace(before, status=Status(stable=serves, previous=warm))
    asked = looking.question(before, NOW)
    assert asked is not None
    assert asked.window.soak is soak
    seen = looking.judge(asked, facts.Sight(series=series(0.005, arms="b")), NOW)
    assert (seen.blind, seen.candidate_requests > 0) == (False, True)


def test_a_look_says_where_its_numbers_are_from():
    sight = facts.Sight(series=series(0.5), source="Pods", note="Prometheus did not answer")
    seen = looking.judge(question(), sight, NOW)
    assert seen.source == "Pods"
    assert seen.message.endswith("; metrics from Pods (Prometheus did not answer)")


def test_why_samples_may_be_missing_is_part_of_the_words():
    seen = looking.judge(question(), facts.Sight(note="such series only of other/x"), NOW)
    assert seen.message.endswith("; such series only of other/x")


@pytest.mark.parametrize(("minutes", "blind"), [(0, False), (1, True)], ids=["renewed", "old"])
def test_a_look_that_nothing_renews_is_blind(minutes, blind):
    seen = looking.judge(question(), facts.Sight(series=series(0.005)), NOW)
    aged = looking.aged(seen, question(), NOW + timedelta(minutes=minutes))
    assert aged.blind is blind
    assert aged.at == seen.at


def own(outcome: str, message: str = "fraud is 0.4") -> own_metrics.Result:
    return own_metrics.Result(name="fraud", outcome=looks.Outcome(outcome), message=message, value=0.4)


@pytest.mark.parametrize(
    ("outcome", "seen", "reason"),
    [
        ("Pass", "Pass", "NoRegression"),
        ("Fail", "Fail", "MetricOutOfBounds"),
        ("Inconclusive", "Inconclusive", "RegressionSuspected"),
        ("NoData", "Inconclusive", "MetricsUnavailable"),
        ("Error", "Inconclusive", "MetricsUnavailable"),
    ],
    ids=str,
)
def test_a_metric_of_ones_own_can_hold_and_fail_what_would_pass(outcome, seen, reason):
    passed = looking.judge(question(), facts.Sight(series=series(0.005)), NOW)
    assert passed.passed
    found = looking.with_own_metrics(passed, [own(outcome)])
    assert (found.outcome, found.reason, found.blind) == (seen, reason, False)
    assert found.passed or Reason(found.reason)
    shown = rendering.analysis_status(found).metrics[-1]
    assert (shown.name, shown.candidate, shown.outcome) == ("fraud", "0.4", outcome)


@pytest.mark.parametrize(
    "sight", [facts.Sight(series=series(0.005)), facts.Sight(error="down")], ids=["seen well", "seen nowhere else"]
)
def test_a_verdict_by_a_metric_of_ones_own_replays_to_the_same_verdict(sight):
    failed = looking.with_own_metrics(looking.judge(question(), sight, NOW), [own("Fail")])
    kept = gzip.decompress(base64.b64decode(recording.render(failed, world.spec("2"))))
    replayed = CliRunner().invoke(replay.command, ["-"], input=kept)
    assert replayed.exit_code == 0, replayed.output
    *before, last = map(json.loads, replayed.output.splitlines())
    assert (last["outcome"], last["reason"]) == (failed.outcome, failed.reason) == ("Fail", "MetricOutOfBounds")
    assert [(one["name"], one["message"]) for one in last["own"]] == [("fraud", "fraud is 0.4")]
    assert all("own" not in line and line["outcome"] != "Fail" for line in before)


def test_what_a_relayed_candidate_was_rejected_for_replays_to_the_same_verdict():
    ends = {"ok": 0.9, "unreachable/covered": 0.05, "late/covered": 0.05}
    failed = looking.judge(relaying(), facts.Sight(series=relayed_series(**ends)), NOW)
    kept = gzip.decompress(base64.b64decode(recording.render(failed, world.spec("2"))))
    replayed = CliRunner().invoke(replay.command, ["-"], input=kept)
    assert replayed.exit_code == 0, replayed.output
    first = next(line for line in map(json.loads, replayed.output.splitlines()) if line["outcome"] == "Fail")
    assert (first["reason"], failed.reason) == ("ErrorsRegressed", "ErrorsRegressed")
    evidence = {one["name"]: one["log_evidence"] for one in first["metrics"]}
    assert evidence == pytest.approx({one.name: one.log_evidence for one in failed.metrics})


def test_a_metric_of_ones_own_excuses_nothing():
    failed = looking.judge(question(), facts.Sight(series=series(0.5)), NOW)
    assert looking.with_own_metrics(failed, [own("Pass")]).reason == "ErrorsRegressed"
    blind = looking.judge(question(), facts.Sight(error="down"), NOW)
    assert looking.with_own_metrics(blind, [own("Pass")]).blind


def test_a_window_that_has_just_begun_is_no_blindness():
    asked = question(weight_since=NOW)
    seen = looking.begun(asked, NOW + timedelta(seconds=1))
    assert seen is not None
    assert (seen.blind, seen.passed, seen.suspicious) == (False, False, False)
    assert looking.begun(asked, NOW + timedelta(seconds=10)) is None


def test_a_window_without_traffic_is_blind_until_it_is_seen():
    waiting = question(step=0, weight=0, weight_since=None, started_at=NOW)
    assert looking.begun(waiting, NOW) is None


def test_a_proven_regression_does_not_age():
    seen = looking.judge(question(), facts.Sight(series=series(0.5)), NOW)
    assert looking.aged(seen, question(), NOW + timedelta(days=3)) is seen


def test_the_world_and_the_watch_judge_alike():
    """`look` on a snapshot with samples is `judge` on its question."""
    seen = msgspec.structs.replace(snapshot(), sight=facts.Sight(series=series(0.005)))
    assert looking.look(seen, NOW) == looking.judge(question(), facts.Sight(series=series(0.005)), NOW)
    assert world.OPERATOR.scrape_interval == question().scrape_interval
