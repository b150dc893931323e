"""Rules of the way a version goes, one by one: what is wanted, trial, first weight."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.rollout import build
from tests.unit.rollout.staged import BLIND, BOTH, PASS, answer, place, reported, trial, weight

from seatrial.api.spec import Duration
from seatrial.api.status import Commands, Phase, Reason, VerdictKind
from seatrial.rollout import decision, facts
from seatrial.rollout.rules import guards, starting, wishes
from seatrial.rollout.rules import trial as trials

# what is wanted


def test_another_wanted_version_supersedes_the_candidate_without_a_memory_against_it():
    found = answer(wishes.candidate_superseded(build.case(build.spec("3"), candidate=build.in_step())))
    assert found.verdict is not None
    assert (found.verdict.verdict, found.candidate) == (VerdictKind.SUPERSEDED, None)
    case = build.case(build.spec("2"), verdicts=(found.verdict,))
    assert case.snapshot.standing(build.name_of("2")) is None


@pytest.mark.parametrize(
    ("changes", "phase", "situation"),
    [
        pytest.param({}, Phase.STABLE, decision.Situation.READY, id="done"),
        pytest.param(
            {"previous": build.previous("2", warm_until=build.at(60))},
            Phase.SOAKING,
            decision.Situation.READY,
            id="soaking",
        ),
        pytest.param(
            {"previous": build.previous("2", warm_until=build.at(60)), "now": 600},
            Phase.STABLE,
            decision.Situation.READY,
            id="soaked",
        ),
        pytest.param(
            {"pods": build.pods("1", False)}, Phase.STARTING, decision.Situation.PROGRESSING, id="no pod is ready"
        ),
    ],
)
def test_the_wanted_version_serves(changes, phase, situation):
    found = answer(wishes.wanted_is_stable(build.case(build.spec("1"), **changes)))
    assert (found.phase, found.situation) == (phase, situation)


def test_the_end_of_the_soak_forgets_the_old_version():
    case = build.case(build.spec("1"), previous=build.previous("2", warm_until=build.at(600)), now=600)
    assert answer(wishes.wanted_is_stable(case)).previous is None


@pytest.mark.parametrize(("soak", "warm"), [("1s", False), ("10m", True), ("1h", True)])
def test_the_soak_is_as_long_as_the_spec_says_now(soak, warm):
    wish = build.spec("1", soak=Duration.parse(soak))
    case = build.case(wish, previous=build.previous("2", warm_until=build.at(600)), now=599)
    assert (answer(wishes.wanted_is_stable(case)).previous is not None) is warm


@pytest.mark.parametrize(
    ("reason", "stable", "said"),
    [
        pytest.param(Reason.ERRORS_REGRESSED, build.STABLE, (Reason.ROLLED_BACK, Phase.ROLLED_BACK), id="canary"),
        pytest.param(Reason.MODEL_REJECTED, build.STABLE, (Reason.MODEL_REJECTED, Phase.STALLED), id="model"),
        pytest.param(Reason.TRIAL_TIMEOUT, build.STABLE, (Reason.TRIAL_TIMEOUT, Phase.STALLED), id="trial"),
        pytest.param(Reason.START_TIMEOUT, None, (Reason.START_TIMEOUT, Phase.ROLLED_BACK), id="first install"),
    ],
)
def test_a_rejected_version_waits_for_a_change_or_a_token(reason, stable, said):
    verdict = build.verdict("2", VerdictKind.REJECTED, reason)
    found = answer(wishes.wanted_was_rejected(build.case(verdicts=(verdict,), stable=stable)))
    assert (found.reason, found.phase) == said
    assert "seatrial.dev/retry" in found.message


AGAIN = Commands(retry="again-1")


@pytest.mark.parametrize(
    ("verdicts", "handled", "tried"),
    [
        pytest.param((build.verdict("2", VerdictKind.REJECTED),), Commands(), True, id="new token"),
        pytest.param((build.verdict("2", VerdictKind.REJECTED),), AGAIN, False, id="handled token"),
        pytest.param((build.verdict("3", VerdictKind.REJECTED),), Commands(), False, id="another revision's rejection"),
        pytest.param((build.verdict("2", VerdictKind.PROMOTED),), Commands(), False, id="not rejected"),
    ],
)
def test_retry_forgets_a_rejection_once_a_token(verdicts, handled, tried):
    found = wishes.retry_requested(build.case(commands=AGAIN, handled=handled, verdicts=verdicts))
    assert (found is not None) is tried
    if found is not None:
        assert found.verdict is not None
        assert (found.verdict.verdict, found.commands.retry) == (VerdictKind.RETRIED, "again-1")


def test_a_retried_version_goes_through_a_canary_whatever_it_was_before_the_rejection():
    case = build.case(
        reports=reported("2"),
        verdicts=(
            build.verdict("2", VerdictKind.RETRIED),
            build.verdict("2", VerdictKind.REJECTED),
            build.verdict("2", VerdictKind.PROMOTED),
        ),
    )
    assert place(answer(wishes.new_candidate(case))) == (0, 0, False)


def test_a_promote_command_that_came_with_the_version_skips_none_of_its_steps():
    found = answer(wishes.new_candidate(build.case(commands=Commands(promote="go/full"))))
    assert found.commands.promote == "go/full"


# trial


def test_an_unknown_version_goes_on_trial():
    found = answer(wishes.new_candidate(build.case()))
    assert found.candidate == build.candidate(
        trial_started_at=build.at(10), sha256="2" * 64, image=build.OPERATOR.serving_image
    )


@pytest.mark.parametrize(
    ("verdicts", "stable", "straight"),
    [
        pytest.param((), build.STABLE, False, id="known trial"),
        pytest.param((build.verdict("2", VerdictKind.PROMOTED),), build.STABLE, True, id="promoted before"),
        pytest.param((), None, True, id="first install"),
    ],
)
def test_only_a_first_or_a_promoted_version_skips_the_canary(verdicts, stable, straight):
    found = answer(wishes.new_candidate(build.case(reports=reported("2"), verdicts=verdicts, stable=stable)))
    assert found.candidate is not None
    assert (found.candidate.started_at, found.candidate.promoting) == (build.at(10), straight)


@pytest.mark.parametrize(
    ("of", "reason", "words"),
    [
        pytest.param(trial("Rejected"), "ModelRejected", "DigestMismatch: the bytes are others", id="model"),
        pytest.param(
            trial(state=facts.JobState.FAILED, report=None, trouble="store unreachable"),
            "TrialFailed",
            "the trial failed: store unreachable",
            id="trial",
        ),
    ],
)
def test_a_failed_trial_rejects(of, reason, words):
    found = answer(trials.on_trial(build.case(candidate=build.on_trial(), trials=of)))
    assert found.verdict is not None
    assert (found.verdict.reason, found.verdict.message, found.rollback) == (reason, words, None)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param({}, id="no Job yet"),
        pytest.param(trial(state=facts.JobState.RUNNING, report=None), id="running"),
        pytest.param(trial("Rejected", at=-60), id="a Job from an earlier try, of an older operator"),
        pytest.param(trial("Rejected", attempt=2), id="a Job from an earlier try"),
    ],
)
def test_a_trial_without_a_result_goes_on_until_its_timeout(of):
    found = answer(trials.on_trial(build.case(candidate=build.on_trial(), trials=of)))
    assert (found.phase, found.look_again) == (Phase.TRIAL, timedelta(seconds=590))


def test_a_job_is_told_from_an_earlier_one_by_its_number_and_not_by_anybodys_clock():
    of = trial(at=-20, attempt=1)
    found = answer(trials.on_trial(build.case(candidate=build.on_trial(), trials=of)))
    assert found.phase is Phase.STARTING


AWAY = {"report": None, "trouble": "fetch: 503 from the store", "fault": facts.Fault.SURROUNDINGS}


@pytest.mark.parametrize(
    ("state", "after", "tried_again"),
    [
        pytest.param("Failed", 29, False, id="pause"),
        pytest.param("Failed", 30, True, id="after it"),
        pytest.param("Running", 599, False, id="still running"),
        pytest.param("Running", 600, True, id="never ended"),
    ],
)
def test_a_trial_that_its_surroundings_failed_is_made_again_and_no_verdict(state, after, tried_again):
    of = trial(state=facts.JobState(state), attempt=1, **AWAY)
    case = build.case(candidate=build.on_trial(), trials=of, now=after)
    assert guards.trial_overdue(case) is None
    found = answer(trials.on_trial(case))
    assert found.candidate is not None
    assert (found.verdict, found.candidate.trial_attempt) == (None, 2 if tried_again else 1)
    assert "503 from the store" in found.message


# first weight


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        pytest.param({}, 10, id="ready and seen"),
        pytest.param({"pods": (*build.pods("1", True, True), *build.pods("2", False))}, 0, id="not ready"),
        pytest.param({"look": BLIND}, 0, id="no samples yet"),
        pytest.param({"look": None}, 0, id="not looked yet"),
        pytest.param({"pods": (*BOTH, *build.pods("3", True))}, 0, id="a third version has pods"),
        pytest.param({"previous": build.previous("3", warm_until=build.at(60))}, 0, id="a warm version"),
    ],
)
def test_the_first_weight_waits_for_pods_metrics_and_third_versions(changes, given):
    usual = {"candidate": build.starting(), "pods": BOTH, "look": PASS}
    assert weight(starting.starting(build.case(**{**usual, **changes}))) == given


def test_a_leaving_pod_of_a_third_version_is_not_waited_for():
    pods = (*BOTH, *build.pods("3", True, leaving=True))
    assert weight(starting.starting(build.case(candidate=build.starting(), pods=pods, look=PASS))) == 10


def test_waiting_for_metrics_moves_nothing_in_status():
    first = answer(starting.starting(build.case(candidate=build.starting(), look=BLIND, now=20)))
    later = answer(starting.starting(build.case(candidate=first.candidate, look=BLIND, now=35)))
    assert (later.candidate, later.reason, later.message) == (first.candidate, first.reason, first.message)


@pytest.mark.parametrize(
    ("look", "after", "reason"),
    [
        pytest.param(BLIND, 20, Reason.STARTING, id="soon after the start"),
        pytest.param(BLIND, 200, Reason.METRICS_UNAVAILABLE, id="for long"),
        pytest.param(build.look("Error"), 20, Reason.METRICS_UNAVAILABLE, id="prometheus down"),
    ],
)
def test_metrics_that_never_come_have_a_name(look, after, reason):
    candidate = build.starting(blind_since=build.at(10))
    assert answer(starting.starting(build.case(candidate=candidate, look=look, now=after))).reason is reason


def test_pods_that_vanish_while_waiting_for_metrics_get_a_new_start_timeout():
    candidate = build.starting(blind_since=build.at(10))
    case = build.case(candidate=candidate, look=BLIND, now=900, pods=build.pods("1", True, True))
    found = answer(starting.starting(case)).candidate
    assert found is not None
    assert (found.started_at, found.blind_since) == (build.at(900), None)
