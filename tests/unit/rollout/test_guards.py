"""Rules asked before anything else, one by one: what ends a rollout in whatever stage it is."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.rollout import build

from seatrial.api.status import Commands, Phase, Reason, VerdictKind
from seatrial.rollout import decision, facts, guards, planner

STARTING, CANARY, PROMOTING = build.starting(), build.in_step(), build.promoting()


def rejected(answer: decision.Decision | None) -> tuple[str, str]:
    """(reason, message) of the rejection, which leaves no candidate and stable untouched."""
    assert answer is not None
    assert answer.verdict is not None
    assert answer.verdict.verdict is VerdictKind.REJECTED
    assert answer.candidate is None
    return answer.verdict.reason.value, answer.verdict.message


@pytest.mark.parametrize(
    "candidate", [CANARY, PROMOTING, build.promoting(weight=100)], ids=["canary", "promoting", "all traffic"]
)
def test_evidence_against_a_candidate_with_traffic_rolls_it_back(candidate):
    answer = guards.candidate_regressed(build.case(candidate=candidate, look=build.FAILING))
    assert rejected(answer) == ("ErrorsRegressed", "errors: 20% against 0.5%")
    assert answer is not None
    assert answer.rollback is not None
    assert (answer.rollback.source, answer.rollback.target) == (build.name_of("2"), build.name_of("1"))
    assert (answer.phase, answer.stable) == (Phase.ROLLED_BACK, build.STABLE)


@pytest.mark.parametrize(
    ("candidate", "look"),
    [
        pytest.param(None, build.FAILING, id="no candidate"),
        pytest.param(STARTING, build.FAILING, id="no weight"),
        pytest.param(CANARY, None, id="not looked"),
        pytest.param(CANARY, build.look("Pass"), id="pass"),
        pytest.param(CANARY, build.look("Inconclusive"), id="inconclusive"),
        pytest.param(CANARY, build.look("NoData"), id="no data"),
        pytest.param(CANARY, build.look("Error"), id="prometheus down"),
    ],
)
def test_nothing_but_evidence_against_it_does(candidate, look):
    assert guards.candidate_regressed(build.case(candidate=candidate, look=look)) is None


SOAK = {
    "stable": build.stable("2"),
    "previous": build.previous("1", warm_until=build.at(60)),
    "look": msgspec.structs.replace(build.FAILING, soak=True),
}


def test_a_regression_in_the_soak_is_one_flip_back_to_the_warm_version():
    answer = guards.promoted_regressed(build.case(**SOAK))
    assert rejected(answer)[0] == "RegressedAfterPromotion"
    assert answer is not None
    assert answer.stable is not None
    assert (answer.stable.revision, answer.previous) == (build.name_of("1"), None)


def test_a_regression_in_the_soak_counts_while_the_next_candidate_starts():
    candidate = build.starting(revision=build.name_of("3"), model_version="3")
    answer = guards.promoted_regressed(build.case(**SOAK, candidate=candidate))
    assert answer is not None
    assert answer.stable is not None
    assert (answer.stable.model_version, answer.candidate) == ("1", candidate)


def test_a_flip_back_to_the_version_that_is_returning_anyway_leaves_no_candidate():
    answer = guards.promoted_regressed(build.case(**SOAK, candidate=build.starting(revision=build.name_of("1"))))
    assert answer is not None
    assert answer.candidate is None


@pytest.mark.parametrize(
    ("pods", "flips"),
    [
        pytest.param((*build.pods("1", True, True), *build.pods("2", True, True)), True, id="warm"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", True, True)), False, id="half of them"),
        pytest.param((*build.pods("1", False, False), *build.pods("2", True, True)), False, id="none"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", False, False)), True, id="better than nobody"),
        pytest.param((*build.pods("1", False), *build.pods("2", False)), False, id="nobody at all"),
    ],
)
def test_the_flip_back_waits_for_the_capacity_it_needs(pods, flips):
    assert (guards.promoted_regressed(build.case(**SOAK, pods=pods)) is not None) is flips


def test_after_the_soak_there_is_no_flip_back():
    assert guards.promoted_regressed(build.case(**SOAK, now=60)) is None


STOP = Commands(abort="stop-1")


@pytest.mark.parametrize(
    "candidate", [build.on_trial(), STARTING, CANARY, PROMOTING], ids=["trial", "starting", "canary", "promoting"]
)
def test_abort_ends_a_rollout_in_every_stage(candidate):
    answer = guards.abort_requested(build.case(candidate=candidate, commands=STOP))
    assert rejected(answer) == ("Aborted", "stopped by the abort command (stop-1)")
    assert answer is not None
    assert answer.commands.abort == "stop-1"


def test_abort_in_the_soak_brings_the_old_version_back():
    answer = guards.abort_requested(build.case(**{**SOAK, "look": None}, commands=STOP))
    assert rejected(answer)[0] == "Aborted"
    assert answer is not None
    assert answer.stable is not None
    assert answer.stable.model_version == "1"


def test_abort_in_the_soak_waits_for_the_old_versions_pods():
    gone = (*build.pods("1", False, False), *build.pods("2", True, True))
    waiting = build.case(build.spec("2"), **{**SOAK, "look": None}, commands=STOP, pods=gone)
    plan = planner.plan(waiting.snapshot, waiting.now)
    assert plan.status.commands.abort == ""
    ready = msgspec.structs.replace(
        waiting.snapshot, status=plan.status, pods=(*build.pods("1", True, True), *build.pods("2", True, True))
    )
    after = planner.plan(ready, waiting.now).status
    assert after.stable is not None
    assert (after.stable.model_version, after.commands.abort) == ("1", "stop-1")


def test_abort_when_nothing_goes_on_is_handled_at_once_and_means_nothing_later():
    idle = build.case(build.spec("1"), commands=STOP)
    assert guards.abort_requested(idle) is None
    assert planner.plan(idle.snapshot, idle.now).status.commands.abort == "stop-1"


def test_a_token_is_handled_once():
    assert guards.abort_requested(build.case(candidate=CANARY, commands=STOP, handled=STOP)) is None


LOOPING = build.pods("2", False, crash_looping=True, trouble="server: OOMKilled (exit code 137)")


@pytest.mark.parametrize("candidate", [STARTING, CANARY, PROMOTING], ids=["starting", "canary", "promoting"])
def test_a_crash_looping_candidate_is_rejected_with_its_pods_words(candidate):
    case = build.case(candidate=candidate, pods=(*build.pods("1", True), *LOOPING))
    assert rejected(guards.candidate_crash_looping(case)) == (
        "CrashLoop",
        "a candidate pod keeps crashing: server: OOMKilled (exit code 137)",
    )


@pytest.mark.parametrize(
    ("candidate", "pods"),
    [
        pytest.param(None, LOOPING, id="no candidate"),
        pytest.param(CANARY, build.pods("1", False, crash_looping=True), id="stable's pod"),
        pytest.param(CANARY, build.pods("2", False, crash_looping=True, leaving=True), id="left from an earlier try"),
    ],
)
def test_other_crashing_pods_are_not_held_against_it(candidate, pods):
    assert guards.candidate_crash_looping(build.case(candidate=candidate, pods=pods)) is None


@pytest.mark.parametrize(
    ("candidate", "ready", "after", "late"),
    [
        pytest.param(build.starting(), [], 299, False, id="in time"),
        pytest.param(build.starting(), [], 300, True, id="no pods at all"),
        pytest.param(build.starting(), [True], 300, False, id="enough for the first step"),
        pytest.param(build.starting(blind_since=build.START), [], 900, False, id="were ready, waited for metrics"),
        pytest.param(build.promoting(), [True], 300, True, id="half of them in the promotion"),
        pytest.param(build.promoting(), [True, True], 300, False, id="promotion with all"),
        pytest.param(build.promoting(weight=100), [True], 300, True, id="lost one with all traffic"),
        pytest.param(build.in_step(started_at=build.START), [False], 300, True, id="vanished in the canary"),
        pytest.param(build.in_step(), [False], 900, False, id="clock not started"),
        pytest.param(build.on_trial(), [], 900, False, id="trial has its own"),
        pytest.param(None, [], 900, False, id="no candidate"),
    ],
)
def test_pods_must_be_ready_by_the_start_timeout(candidate, ready, after, late):
    case = build.case(candidate=candidate, now=after, pods=build.pods("2", *ready))
    assert (guards.candidate_never_became_ready(case) is not None) is late


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"pods": build.pods("2", False, trouble="server: ImagePullBackOff: Back-off pulling image")},
            "ImagePullBackOff",
            id="image",
        ),
        pytest.param(
            {"pods": build.pods("2", False, trouble="0/3 nodes are available")}, "0/3 nodes", id="unschedulable"
        ),
        pytest.param(
            {"deployments": {build.name_of("2"): facts.Deployment(replicas=1, refusal="exceeded quota: tight")}},
            "exceeded quota: tight",
            id="quota",
        ),
        pytest.param({}, "the pods give no reason", id="silence"),
    ],
)
def test_the_start_timeout_quotes_the_pod(changes, words):
    usual = {"pods": build.pods("2", False)}
    answer = guards.candidate_never_became_ready(build.case(candidate=STARTING, now=300, **{**usual, **changes}))
    reason, message = rejected(answer)
    assert reason == "StartTimeout"
    assert message.startswith("0 of 1 pods Ready after 5m: ")
    assert words in message


RUNNING = facts.Trial(state=facts.JobState.RUNNING, created_at=build.START, trouble="trial: ErrImagePull: no such tag")


@pytest.mark.parametrize(
    ("candidate", "after", "trials", "message"),
    [
        pytest.param(build.on_trial(), 599, {}, None, id="in time"),
        pytest.param(build.on_trial(), 600, {}, "no trial result after 10m: its pod gives no reason", id="no Job"),
        pytest.param(build.on_trial(), 600, {"2": RUNNING}, "no trial result after 10m: trial: ErrImagePull", id="pod"),
        pytest.param(build.starting(), 6000, {}, None, id="trial is over"),
        pytest.param(None, 6000, {}, None, id="no candidate"),
    ],
)
def test_a_trial_must_have_a_result_by_its_timeout(candidate, after, trials, message):
    known = {build.name_of(version): trial for version, trial in trials.items()}
    answer = guards.trial_overdue(build.case(candidate=candidate, now=after, trials=known))
    if message is None:
        assert answer is None
    else:
        assert rejected(answer)[1].startswith(message)


def test_deadlines_are_kept_while_a_child_is_refused():
    refused = facts.Refusal(reason=Reason.CHILD_REFUSED, message="exceeded quota")
    case = build.case(candidate=STARTING, now=300, pods=build.pods("1", True, True), refused=refused)
    after = planner.plan(case.snapshot, case.now).status
    assert [one.reason for one in after.verdicts] == [Reason.START_TIMEOUT]
