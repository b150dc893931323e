"""Rollouts under provider Relay: copies first, exactly the share asked for, and nothing left behind."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.unit.rollout import build
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Disagreement, Duration, OnRegression, OnShift, Provider, Ratio, Traffic
from seatrial.api.status import Commands, Phase, Reason, VerdictKind
from seatrial.rollout import planner
from seatrial.rollout.rules import guards, holding

# copies


def case(*, look=build.FAILING, analysis: dict | None = None, **changes: object):
    made = {"weight": 0, "shadow": 20, "provider": "Relay", **changes}
    wish = build.spec(traffic=Traffic(provider=Provider.RELAY))
    if analysis is not None:
        wish = msgspec.structs.replace(wish, analysis=msgspec.structs.replace(wish.analysis, **analysis))
    return build.case(wish, candidate=build.in_step(**made), look=look, provider=Provider.RELAY)


def test_a_version_that_fails_on_copies_is_rejected_before_anybody_had_an_answer_of_it():
    found = guards.candidate_regressed(case())
    assert found is not None
    assert (found.verdict.verdict, found.verdict.reason) == (VerdictKind.REJECTED, Reason.SHADOW_FAILED)
    assert found.verdict.message == build.FAILING.message
    assert (found.rollback, found.candidate) == (None, None)


def test_with_a_share_of_the_answers_as_well_it_is_the_regression_itself():
    found = guards.candidate_regressed(case(weight=10))
    assert found is not None
    assert found.verdict.reason is Reason.ERRORS_REGRESSED


SHIFTED = build.look("Pass", shift="disagreement: 8% of 400 rows differ, more than 1%")
BOUND = {"disagreement": Disagreement(max=Ratio.parse("1%"))}


def test_answers_that_differ_hold_a_rollout_that_keeps_what_it_has():
    found = holding.shifted(case(look=SHIFTED, analysis=BOUND))
    assert found is not None
    assert (found.candidate.hold.reason, found.candidate.shadow) == (Reason.ANSWERS_SHIFTED, 20)
    assert found.phase is Phase.PAUSED
    held = case(look=SHIFTED, analysis=BOUND, hold=found.candidate.hold, shift=found.candidate.shift)
    assert guards.candidate_regressed(held) is None
    assert holding.shifted(held) is None


def test_they_are_only_reported_where_that_is_asked_for():
    report = {"disagreement": Disagreement(max=Ratio.parse("1%"), on_shift=OnShift.REPORT)}
    assert holding.shifted(case(look=SHIFTED, analysis=report)) is None
    plan = planner.plan(msgspec.structs.replace(case(analysis=report).snapshot, look=SHIFTED), build.at(10))
    assert plan.status.candidate.hold is None
    assert plan.status.candidate.shift == SHIFTED.shift
    assert [one.reason for one in plan.events if one.warning] == ["AnswersShifted"]


def test_a_promote_command_ends_that_hold_for_good():
    kept = holding.shifted(case(look=SHIFTED, analysis=BOUND)).candidate
    held = case(look=SHIFTED, analysis=BOUND, hold=kept.hold, shift=kept.shift)
    asked = msgspec.structs.replace(held.snapshot, commands=Commands(resume="r"))
    assert holding.resume_requested(msgspec.structs.replace(held, snapshot=asked)) is None
    asked = msgspec.structs.replace(held.snapshot, commands=Commands(promote="p"))
    found = holding.resume_requested(msgspec.structs.replace(held, snapshot=asked))
    assert found is not None
    assert (found.candidate.hold, found.candidate.step, found.commands.promote) == (None, 1, "p")


def test_with_on_regression_pause_a_version_that_fails_on_copies_is_held_without_them():
    paused = case()
    wish = msgspec.structs.replace(
        paused.snapshot.spec,
        rollout=msgspec.structs.replace(paused.snapshot.spec.rollout, on_regression=OnRegression.PAUSE),
    )
    found = guards.candidate_regressed(
        msgspec.structs.replace(paused, snapshot=msgspec.structs.replace(paused.snapshot, spec=wish))
    )
    assert found is not None
    assert (found.candidate.hold.reason, found.candidate.shadow) == (Reason.SHADOW_FAILED, 0)


# a whole rollout


def rolling(version: str = "2", **changes: object) -> worlds.World:
    world = worlds.World(worlds.relayed("1", **changes))
    world.run(lambda world: world.status.phase is Phase.STABLE)
    world.spec = worlds.relayed(version, **changes)
    return world


def test_exactly_the_share_asked_for_is_passed_on_and_promotion_leaves_nothing_behind():
    world = rolling()
    seen: dict[int, set[float]] = {}

    def serves(world: worlds.World) -> bool:
        candidate = world.status.candidate
        if candidate is not None and world.relayed and 0 < candidate.weight < 100:
            asked, given_ = world.relayed[-1]
            seen.setdefault(candidate.weight, set()).add(round(100 * given_ / asked))
        return world.status.phase is Phase.STABLE and world.serving == "2"

    world.run(serves)
    assert seen == {10: {10}, 50: {50}}
    assert {pod.assignment for pod in world.pods.values()} == {""}
    assert (world.status.traffic.relayed, world.status.traffic.withdrawn_at) == ("", None)


def test_a_version_that_fails_every_request_answers_nobody():
    world = rolling()
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.phase is Phase.STALLED)
    assert world.status.verdicts[0].reason is Reason.SHADOW_FAILED
    assert sum(given_ for _, given_ in world.relayed) == 0
    assert world.user_errors == 0
    assert world.evidence is not None
    world.run(lambda world: not world.status.traffic.relayed)
    assert {pod.assignment for pod in world.pods.values()} == {""}


def test_a_version_that_begins_to_fail_with_a_share_is_rolled_back_by_taking_the_assignment_away():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 50)
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.candidate is None)
    assert world.status.last_rollback.zero_weight_at is None
    assert world.pods_of("2")
    world.step()
    assert world.status.last_rollback.zero_weight_at is not None
    world.run(lambda world: not world.pods_of("2"))
    assert world.user_errors == 0


def test_pods_that_can_not_be_asked_keep_the_candidates_pods_for_as_long_as_a_lease():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    world.mute = world.deaf = set(world.pods)
    world.error_share["2"] = 1.0
    world.run(lambda world: world.status.candidate is None)
    since = world.now
    world.run(lambda world: not world.pods_of("2"))
    assert timedelta(seconds=170) <= world.now - since <= timedelta(seconds=200)


def test_a_new_stable_pod_gets_its_assignment_with_the_next_pass():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    world.remove(next(pod for pod in world.pods.values() if pod.revision == world.status.stable.revision))
    world.step()
    world.step()
    texts = [pod.assignment for pod in world.pods_of("1")]
    assert len(texts) == 2
    assert all(texts)


def test_without_an_operator_the_share_goes_back_to_stable():
    world = rolling()
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 50)
    world.step()
    for _ in range(40):
        world._advance()
    assert world.relayed[-40][1] > 0
    assert world.relayed[-1][1] == 0
    world.step()
    world.step()
    assert world.relayed[-1][1] > 0, "and comes again with one"


@pytest.mark.long
def test_a_share_is_renewed_for_as_long_as_its_step_lasts_without_a_write_to_the_status():
    world = rolling()
    long = msgspec.structs.replace(worlds.RELAYED[1], min_duration=Duration.parse("10m"))
    steps_ = (worlds.RELAYED[0], long, worlds.RELAYED[2])
    world.spec = msgspec.structs.replace(world.spec, rollout=msgspec.structs.replace(world.spec.rollout, steps=steps_))
    world.run(lambda world: world.status.candidate is not None and world.status.candidate.weight == 10)
    for _ in range(100):
        world.step()
        assert world.relayed[-1][1] > 0
