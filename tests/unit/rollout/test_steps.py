"""Rules of the way a version goes, one by one: the steps of its canary, promotion, soak."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout.staged import BLIND, BOTH, PASS, answer, place, weight

from seatrial.analysis import judgement
from seatrial.api.spec import Duration, InsufficientTraffic, Promotion, Step
from seatrial.api.status import Commands, Phase, Reason, VerdictKind
from seatrial.rollout import decision, looks
from seatrial.rollout.rules import guards, promoting, starting
from seatrial.rollout.rules import step as steps

# canary


def step(**changes: object) -> Step:
    return msgspec.structs.replace(build.STEPS[0], **changes)


def judged(look: object = PASS, *, wish: object = None, **changes: object) -> decision.Decision:
    usual = {"candidate": build.in_step(), "now": 60, "look": look}
    return answer(steps.in_step(build.case(wish, **{**usual, **changes})))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("look", "reason", "where"),
    [
        pytest.param(PASS, Reason.CANARY_PROGRESSING, (2, 10, False), id="passed"),
        pytest.param(build.look(candidate_requests=49), Reason.CANARY_PROGRESSING, (1, 10, False), id="too few"),
        pytest.param(
            build.look(observed=timedelta(seconds=19)), Reason.CANARY_PROGRESSING, (1, 10, False), id="too short"
        ),
        pytest.param(
            build.look("Inconclusive", reason="InsufficientTraffic"),
            Reason.INSUFFICIENT_TRAFFIC,
            (1, 10, False),
            id="inconclusive",
        ),
        pytest.param(
            build.look("Inconclusive", reason="StableAlsoBreaching"),
            Reason.STABLE_ALSO_BREACHING,
            (1, 10, False),
            id="stable breaches too",
        ),
        pytest.param(BLIND, Reason.METRICS_UNAVAILABLE, (1, 10, False), id="blind"),
        pytest.param(None, Reason.CANARY_PROGRESSING, (1, 10, False), id="not looked"),
    ],
)
def test_only_evidence_and_the_clock_move_a_step_on(look, reason, where):
    found = judged(look)
    assert (found.reason, place(found)) == (reason, where)


def test_the_last_step_leads_to_the_promotion():
    long = build.look(observed=timedelta(minutes=2))
    assert place(judged(long, candidate=build.in_step(2, weight=50))) == (2, 50, True)


def test_the_next_step_gets_its_weight_only_with_its_pods():
    wish = build.spec(replicas=4)
    at_two = build.in_step(2, weight=10)
    four = build.pods("1", *[True] * 4)
    short = judged(wish=wish, candidate=at_two, pods=(*four, *build.pods("2", True)))
    assert (short.reason, place(short)) == (Reason.STARTING, (2, 10, False))
    enough = judged(wish=wish, candidate=at_two, pods=(*four, *build.pods("2", *[True] * 4)))
    assert place(enough) == (2, 50, False)


@pytest.mark.parametrize("candidate", [build.in_step(2, weight=10), build.in_step()], ids=["weight", "step"])
def test_the_weight_does_not_grow_while_stable_is_short_of_pods(candidate):
    found = judged(candidate=candidate, pods=(*build.pods("1", True, False), *build.pods("2", True, True)))
    assert (found.reason, found.candidate) == (Reason.STARTING, candidate)


@pytest.mark.parametrize(
    ("policy", "look", "after", "reason", "promoting"),
    [
        pytest.param("Hold", build.look(candidate_requests=1), 1799, Reason.CANARY_PROGRESSING, False, id="in time"),
        pytest.param("Hold", build.look(candidate_requests=1), 1800, Reason.INSUFFICIENT_TRAFFIC, False, id="hold"),
        pytest.param("Promote", build.look(candidate_requests=1), 1800, Reason.PROMOTING, True, id="promote"),
        pytest.param(
            "Promote",
            build.look("Inconclusive", reason="InsufficientTraffic", candidate_requests=0),
            1800,
            Reason.PROMOTING,
            True,
            id="no request, and counters that say so",
        ),
        pytest.param("Promote", BLIND, 1800, Reason.METRICS_UNAVAILABLE, False, id="blind is never promoted"),
        pytest.param("Promote", build.look("Error"), 1800, Reason.METRICS_UNAVAILABLE, False, id="nor is an error"),
    ],
)
def test_too_little_traffic_ends_as_the_spec_says(policy, look, after, reason, promoting):
    wish = build.spec(on_insufficient_traffic=InsufficientTraffic(policy))
    found = judged(look, wish=wish, now=after, candidate=build.in_step(2, weight=50))
    assert (found.reason, place(found)[2]) == (reason, promoting)


def proof(name: str, *, proven: bool, log_proof: float = 1.0) -> judgement.MetricEvidence:
    few = judgement.Counts(requests=100, events=2)
    found = judgement.unseen(name, stable=few, candidate=few)
    return msgspec.structs.replace(found, outcome=looks.Outcome.PASS, proven=proven, log_proof=log_proof)


def evidence(errors: bool, latency: bool) -> looks.Look:
    metrics = (proof("errors", proven=errors), proof("latency", proven=latency))
    return build.look("Pass", metrics=metrics, rate=0.005)


@pytest.mark.parametrize(
    ("look", "step", "said"),
    [
        pytest.param(evidence(True, True), 2, "step 1 passed", id="both proven"),
        pytest.param(evidence(True, False), 1, "latency: evidence 2.72 of 200", id="latency isn't"),
        pytest.param(evidence(False, False), 1, "errors: evidence 2.72 of 200", id="nothing is"),
        pytest.param(build.look("Pass"), 1, "errors: not compared yet", id="nothing compared"),
        pytest.param(build.look("Pass", alone=True), 2, "step 1 passed", id="all traffic: nobody to compare with"),
    ],
)
def test_non_inferiority_ends_a_step_on_proof_alone_and_says_what_is_missing(look, step, said):
    wish = build.spec(promotion=Promotion.NON_INFERIORITY)
    found = judged(look, wish=wish)
    assert found.candidate is not None
    assert found.candidate.step == step
    assert said in found.message
    assert (found.reason is Reason.INSUFFICIENT_EVIDENCE) == (step == 1)


def test_without_proof_the_step_timeout_promotes_nothing_under_non_inferiority():
    wish = build.spec(promotion=Promotion.NON_INFERIORITY, on_insufficient_traffic=InsufficientTraffic.PROMOTE)
    quiet = build.look("Pass", candidate_requests=1)
    found = judged(quiet, wish=wish, now=1800, candidate=build.in_step(2, weight=50))
    assert place(found) == (2, 50, False)


def test_the_promote_command_goes_on_without_proof():
    wish = build.spec(promotion=Promotion.NON_INFERIORITY)
    found = judged(evidence(False, False), wish=wish, commands=Commands(promote="ok"))
    assert place(found) == (2, 10, False)


def test_a_pause_waits_at_the_end_of_its_step():
    found = judged(wish=build.spec(steps=(step(pause=True), build.STEPS[1])))
    assert found.candidate is not None
    assert (found.phase, found.candidate.waiting_for_approval, found.candidate.step) == (Phase.PAUSED, True, 1)


@pytest.mark.parametrize(
    ("token", "handled", "where"),
    [
        pytest.param("ok", "", (2, 10, False), id="next step"),
        pytest.param("ok/full", "", (1, 10, True), id="all the rest"),
        pytest.param("ok", "ok", (1, 10, False), id="handled before"),
        pytest.param("", "", (1, 10, False), id="no token"),
    ],
)
def test_the_promote_command_ends_the_step_once_a_token(token, handled, where):
    wish = build.spec(steps=(step(pause=True), build.STEPS[1]))
    found = judged(wish=wish, commands=Commands(promote=token), handled=Commands(promote=handled))
    assert place(found) == where
    assert found.commands.promote == token


def test_a_blind_candidate_keeps_its_weight_for_a_while_then_loses_it_without_a_verdict():
    held = judged(BLIND, now=60)
    assert held.candidate == build.in_step(blind_since=build.at(60))
    gone = answer(guards.candidate_unseen(build.case(candidate=held.candidate, look=BLIND, now=180)))
    assert (place(gone), gone.verdict) == ((1, 0, False), None)
    back = judged(PASS, now=200, candidate=gone.candidate)
    assert back.candidate == build.in_step(weight_since=build.at(200), windows=2)


@pytest.mark.parametrize("attempt", [1, 2, 7])
def test_each_time_that_sight_was_lost_and_is_back_is_one_more_attempt_at_the_step(attempt):
    blind = build.in_step(blind_since=build.at(60), windows=attempt)
    gone = answer(guards.candidate_unseen(build.case(candidate=blind, look=BLIND, now=180)))
    back = judged(PASS, now=200, candidate=gone.candidate)
    assert back.candidate is not None
    assert (back.candidate.weight, back.candidate.windows) == (10, attempt + 1)


@pytest.mark.parametrize(
    ("misconfigured", "situation"),
    [
        pytest.param(False, decision.Situation.PROGRESSING, id="outage"),
        pytest.param(True, decision.Situation.FAILED, id="wrong setting"),
    ],
)
def test_a_prometheus_that_refuses_stalls_and_one_that_is_down_is_waited_for(misconfigured, situation):
    look = build.look("Error", reason=Reason.METRICS_UNAVAILABLE, misconfigured=misconfigured)
    found = judged(look)
    assert (found.situation, found.verdict, place(found)) == (situation, None, (1, 10, False))
    waiting = answer(starting.starting(build.case(candidate=build.starting(), look=look)))
    assert waiting.situation is situation


def test_sight_in_between_starts_the_blind_clock_anew():
    seen = judged(build.look(candidate_requests=1), candidate=build.in_step(blind_since=build.START))
    assert seen.candidate == build.in_step()


def test_vanished_pods_start_the_clock_of_the_start_timeout_even_though_nothing_is_seen_of_them():
    found = judged(BLIND, pods=(*build.pods("1", True, True), *build.pods("2", False, trouble="node is gone")))
    assert found.candidate == build.in_step(started_at=build.at(60), blind_since=build.at(60))
    assert "node is gone" in found.message


def test_pods_that_come_back_stop_that_clock():
    found = judged(build.look(candidate_requests=1), candidate=build.in_step(started_at=build.at(10)))
    assert found.candidate == build.in_step()


@pytest.mark.parametrize(
    ("steps", "present", "where"),
    [
        pytest.param((step(),), (3, 50), (3, 10, False), id="shortened"),
        pytest.param((step(weight=5), step(weight=10), step(weight=40)), (3, 50), (3, 40, False), id="another weight"),
        pytest.param((step(), step(weight=50), step(weight=60)), (2, 50), (3, 50, False), id="lengthened"),
    ],
)
def test_steps_may_change_under_way(steps, present, where):
    number, weight = present
    assert place(judged(wish=build.spec(steps=steps), candidate=build.in_step(number, weight=weight))) == where


def test_steps_shortened_to_what_was_reached_are_all_passed():
    found = judged(wish=build.spec(steps=(step(),)), candidate=build.in_step(3, weight=10))
    assert place(found) == (3, 10, True)


def test_more_replicas_in_the_canary_wait_for_pods_before_the_step_goes_on():
    wish = build.spec(replicas=18)
    pods = (*build.pods("1", *[True] * 18), *build.pods("2", True))
    found = judged(wish=wish, pods=pods)
    assert (found.reason, place(found)) == (Reason.STARTING, (1, 10, False))


# promotion


def promoted(**changes: object) -> decision.Decision:
    usual = {"candidate": build.promoting(), "look": PASS, "pods": BOTH}
    return answer(promoting.promoting(build.case(**{**usual, **changes})))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "given", "reason"),
    [
        pytest.param({}, 100, Reason.PROMOTING, id="full capacity"),
        pytest.param({"pods": (*BOTH[:2], *build.pods("2", True))}, 50, Reason.STARTING, id="half of it"),
        pytest.param({"look": BLIND}, 50, Reason.METRICS_UNAVAILABLE, id="blind"),
        pytest.param(
            {"look": build.look("Inconclusive", reason="RegressionSuspected")},
            50,
            Reason.REGRESSION_SUSPECTED,
            id="suspected",
        ),
    ],
)
def test_all_traffic_needs_full_capacity_and_sight(changes, given, reason):
    found = promoted(**changes)
    assert (weight(found), found.reason) == (given, reason)


def test_a_promotion_that_goes_blind_for_long_begins_its_step_again():
    case = build.case(candidate=build.promoting(blind_since=build.START), look=BLIND, now=120)
    assert place(answer(guards.candidate_unseen(case))) == (2, 0, False)


def taken_over(**changes: object) -> decision.Decision:
    usual = {"candidate": build.starting(promoting=True), "pods": BOTH}
    return answer(promoting.taking_over(build.case(**{**usual, **changes})))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        pytest.param({"stable": None}, (0, 100, True), id="first install"),
        pytest.param({"verdicts": (build.verdict("2", VerdictKind.PROMOTED),)}, (0, 100, True), id="return"),
        pytest.param({"pods": build.pods("2", True, True)}, (0, 100, True), id="stable has gone"),
        pytest.param({}, (0, 0, False), id="stable is back: compared first"),
        pytest.param({"stable": None, "pods": build.pods("2", True)}, (0, 0, True), id="half of the capacity"),
    ],
)
def test_only_what_has_nothing_to_be_compared_with_takes_over(changes, where):
    assert place(taken_over(**changes)) == where


@pytest.mark.parametrize(
    ("endpoints", "done"),
    [
        pytest.param(build.endpoints("2", v2=2), True, id="in force"),
        pytest.param(build.endpoints("2", v1=1, v2=2), False, id="an old endpoint is left"),
        pytest.param(build.endpoints(None, v1=2, v2=2), False, id="selector not changed yet"),
        pytest.param(build.endpoints("2"), False, id="no endpoint at all"),
        pytest.param(None, False, id="no Service"),
    ],
)
def test_the_name_follows_the_traffic(endpoints, done):
    found = promoted(candidate=build.promoting(weight=100), endpoints=endpoints)
    assert found.stable is not None
    assert (found.stable.model_version == "2") is done
    assert (found.candidate is None) is done


@pytest.mark.parametrize(
    ("soak", "stable", "warm"),
    [
        pytest.param("10m", build.STABLE, "1", id="soak"),
        pytest.param("0s", build.STABLE, None, id="no soak"),
        pytest.param("10m", None, None, id="first install"),
    ],
)
def test_the_old_version_stays_warm_for_the_soak(soak, stable, warm):
    found = promoted(
        wish=build.spec(soak=Duration.parse(soak)),
        candidate=build.promoting(weight=100),
        endpoints=build.endpoints("2", v2=2),
        stable=stable,
    )
    assert (found.previous.model_version if found.previous else None) == warm
    assert found.previous is None or found.previous.warm_until == build.at(610)
