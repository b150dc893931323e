"""Rules asked before anything else, one by one: what ends a rollout in whatever stage it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build

from seatrial.analysis import slots
from seatrial.api.status import Breach, Commands, Phase, Reason, VerdictKind
from seatrial.rollout import decision, facts, looks, planner
from seatrial.rollout.rules import guards, step

STARTING, CANARY, PROMOTING = build.starting(), build.in_step(), build.promoting()
SHADOWED = build.in_step(weight=0, shadow=10)


def rejected(answer: decision.Decision | None) -> tuple[str, str]:
    """(reason, message) of the rejection, which leaves no candidate and stable untouched."""
    assert answer is not None
    assert answer.verdict is not None
    assert answer.verdict.verdict is VerdictKind.REJECTED
    assert answer.candidate is None
    return answer.verdict.reason.value, answer.verdict.message


def at_fault(version: str, *readiness: bool, **changes: object) -> tuple[facts.Pod, ...]:
    return build.pods(version, *readiness, fault=facts.Fault.VERSION, **changes)


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


def lost(unreachable: int, *, errors: int = 0) -> looks.Look:
    counted = slots.ArmCounts(requests=20, errors=unreachable + errors, unreachable=unreachable)
    slot = slots.Slot(seconds=1, stable=slots.ArmCounts(requests=80), candidate=counted)
    return msgspec.structs.replace(build.FAILING, slots=(slot, slot))


@pytest.mark.parametrize("candidate", [CANARY, PROMOTING, SHADOWED], ids=["canary", "promoting", "copies"])
def test_requests_that_nobody_answered_begin_the_step_again_before_they_count_against_a_version(candidate):
    """An evicted pod fails as a version does that ends its server; stable answers meanwhile."""
    again = guards.candidate_regressed(build.case(candidate=candidate, look=lost(10)))
    assert again is not None
    assert (again.verdict, again.candidate.weight, again.candidate.shadow) == (None, 0, 0)
    assert again.candidate.weight_since is None
    last = msgspec.structs.replace(candidate, windows=guards.WINDOWS)
    assert rejected(guards.candidate_regressed(build.case(candidate=last, look=lost(10))))


def test_a_version_that_answers_with_errors_has_been_reached():
    assert rejected(guards.candidate_regressed(build.case(candidate=CANARY, look=lost(4, errors=4))))


SOAK = {
    "stable": build.stable("2"),
    "previous": build.previous("1", warm_until=build.at(60)),
    "look": msgspec.structs.replace(build.FAILING, soak=True),
}


def condemned(*, healthy: int = 100, at: float = 10, **changes: object) -> dict[str, Any]:
    """Stable is version 2, proven bad; version 1 is warm."""
    breach = Breach(
        reason=Reason.REGRESSED_AFTER_PROMOTION, message="errors: 20%", at=build.at(at), healthy_percent=healthy
    )
    return {**SOAK, "look": None, "stable": build.stable("2", breach=breach), **changes}


def test_a_regression_in_the_soak_is_a_verdict_at_once_and_the_version_is_condemned():
    answer = guards.promoted_regressed(build.case(**SOAK))
    assert rejected(answer)[0] == "RegressedAfterPromotion"
    assert answer is not None
    assert answer.stable is not None
    assert answer.stable.breach is not None
    assert (answer.situation, answer.previous is not None) == (decision.Situation.FAILED, True)


def test_a_condemned_version_gives_way_to_the_warm_one():
    answer = guards.condemned_returns(build.case(**condemned()))
    assert answer is not None
    assert answer.stable is not None
    assert (answer.stable.revision, answer.previous) == (build.name_of("1"), None)
    assert answer.rollback is not None
    assert answer.rollback.breach_at == build.at(10)


def test_a_flip_back_leaves_the_next_candidate_where_it_is():
    candidate = build.starting(revision=build.name_of("3"), model_version="3")
    answer = guards.condemned_returns(build.case(**condemned(), candidate=candidate))
    assert answer is not None
    assert answer.candidate == candidate


def test_a_flip_back_to_the_version_that_is_returning_anyway_leaves_no_candidate():
    answer = guards.condemned_returns(build.case(**condemned(), candidate=build.starting(revision=build.name_of("1"))))
    assert answer is not None
    assert answer.candidate is None


@pytest.mark.parametrize(
    ("pods", "healthy", "after", "flips"),
    [
        pytest.param((*build.pods("1", True, True), *build.pods("2", True, True)), 100, 10, True, id="warm"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", True, True)), 90, 10, False, id="half of them"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", True, True)), 50, 10, True, id="worth as much"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", True, True)), 0, 10, True, id="all fail"),
        pytest.param((*build.pods("1", False, False), *build.pods("2", True, True)), 0, 10, False, id="none"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", False, False)), 90, 10, True, id="nobody else"),
        pytest.param((*build.pods("1", False), *build.pods("2", False)), 0, 10, False, id="nobody at all"),
        pytest.param((*build.pods("1", True, False), *build.pods("2", True, True)), 90, 310, True, id="no room comes"),
    ],
)
def test_the_flip_back_waits_for_the_capacity_it_needs_and_stalls_meanwhile(pods, healthy, after, flips):
    answer = guards.condemned_returns(build.case(**condemned(healthy=healthy), pods=pods, now=after))
    assert answer is not None
    assert (answer.stable == build.stable("1", since=build.at(after))) is flips
    assert answer.situation is decision.Situation.FAILED


def test_a_condemned_version_goes_back_even_after_the_soak_and_without_its_evidence():
    answer = guards.condemned_returns(build.case(**condemned(), now=6000))
    assert answer is not None
    assert answer.stable is not None
    assert answer.stable.model_version == "1"


def test_a_verdict_in_the_soak_is_reached_once():
    assert guards.promoted_regressed(build.case(**condemned(look=SOAK["look"]))) is None


STOP = Commands(abort="stop-1")


@pytest.mark.parametrize(
    "candidate", [build.on_trial(), STARTING, CANARY, PROMOTING], ids=["trial", "starting", "canary", "promoting"]
)
def test_abort_ends_a_rollout_in_every_stage(candidate):
    answer = guards.abort_requested(build.case(candidate=candidate, commands=STOP))
    assert rejected(answer) == ("Aborted", "stopped by the abort command (stop-1)")
    assert answer is not None
    assert answer.commands.abort == "stop-1"


def test_abort_in_the_soak_condemns_the_promoted_version():
    answer = guards.abort_requested(build.case(**{**SOAK, "look": None}, commands=STOP))
    assert rejected(answer)[0] == "Aborted"
    assert answer is not None
    assert answer.stable is not None
    assert answer.stable.breach is not None
    assert answer.commands.abort == "stop-1"


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
        pytest.param(build.starting(), [False], 299, False, id="in time"),
        pytest.param(build.starting(), [False], 300, True, id="late"),
        pytest.param(build.starting(), [True], 300, False, id="enough for the first step"),
        pytest.param(build.starting(blind_since=build.START), [False], 900, False, id="were ready, waited for metrics"),
        pytest.param(build.promoting(), [True, False], 300, True, id="half of them in the promotion"),
        pytest.param(build.promoting(), [True, True], 300, False, id="promotion with all"),
        pytest.param(build.promoting(weight=100), [True, False], 300, True, id="lost one with all traffic"),
        pytest.param(build.in_step(started_at=build.START), [False], 300, True, id="vanished in the canary"),
        pytest.param(build.in_step(), [False], 900, False, id="clock not started"),
        pytest.param(build.on_trial(), [], 900, False, id="trial has its own"),
        pytest.param(None, [], 900, False, id="no candidate"),
    ],
)
def test_pods_that_are_themselves_at_fault_must_be_ready_by_the_start_timeout(candidate, ready, after, late):
    case = build.case(candidate=candidate, now=after, pods=at_fault("2", *ready))
    assert (guards.candidate_never_became_ready(case) is not None) is late


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"pods": build.pods("2", False, trouble="0/3 nodes are available")}, "0/3 nodes", id="no room"),
        pytest.param(
            {"pods": (), "deployments": {build.name_of("2"): facts.Deployment(replicas=1, refusal="exceeded quota")}},
            "exceeded quota",
            id="quota",
        ),
        pytest.param({"pods": build.pods("2", False, fault=facts.Fault.SURROUNDINGS)}, "0 of 1", id="store away"),
        pytest.param({"pods": ()}, "0 of 1", id="no pods at all"),
    ],
)
@pytest.mark.parametrize(
    "stage", [STARTING, build.in_step(started_at=build.START), PROMOTING], ids=lambda one: one.step
)
def test_the_clusters_trouble_is_waited_for_and_said_but_never_held_against_the_version(changes, words, stage):
    stable = build.pods("1", True, True)
    usual = build.case(candidate=stage, now=900, look=build.look(), **changes)
    snapshot = msgspec.structs.replace(usual.snapshot, pods=(*stable, *usual.snapshot.pods))
    after = planner.plan(snapshot, usual.now).status
    ready = next(one for one in after.conditions if one.type == "Stalled")
    assert (after.verdicts, ready.status.value) == ((), "True")
    assert words.replace("of 1", f"of {guards.pods_asked_for(usual, stage)}") in ready.message


def test_the_start_timeout_quotes_the_pod():
    pods = at_fault("2", False, trouble="server: ImagePullBackOff: Back-off pulling image")
    answer = guards.candidate_never_became_ready(build.case(candidate=STARTING, now=300, pods=pods))
    reason, message = rejected(answer)
    assert reason == "StartTimeout"
    assert message == "0 of 1 pods Ready after 5m: server: ImagePullBackOff: Back-off pulling image"


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
    pods = (*build.pods("1", True, True), *at_fault("2", False))
    case = build.case(candidate=STARTING, now=300, pods=pods, refused=refused)
    after = planner.plan(case.snapshot, case.now).status
    assert [one.reason for one in after.verdicts] == [Reason.START_TIMEOUT]


def test_the_time_that_a_step_took_is_not_taken_from_the_promotions_pods():
    passed = step.in_step(
        build.case(candidate=build.in_step(2, weight=50), look=build.look(observed=timedelta(minutes=9)), now=900)
    )
    assert passed is not None
    short = build.case(candidate=passed.candidate, pods=at_fault("2", True, False), now=901)
    assert guards.candidate_never_became_ready(short) is None
