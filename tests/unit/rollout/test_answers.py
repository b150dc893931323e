"""Answers and inputs in a step: shifted answers wait for a person, unlike inputs hold; neither is a verdict."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build

from seatrial.api import spec
from seatrial.api.status import Commands, Reason, Status
from seatrial.drift.canary import Found
from seatrial.rollout import planner

SHIFTED = Found(shifted="score: 80% of 400 rows of the candidate in 10, 40% of 4000 of stable's")
UNLIKE = Found(unlike="drift: income: all above")
UNEQUAL = Found(unequal="the arms get other requests: income")


def planned(moved: Found | None, *, commands: Commands | None = None, status: Status | None = None, **answers: Any):
    wish = build.spec()
    wish = msgspec.structs.replace(
        wish, analysis=msgspec.structs.replace(wish.analysis, answers=spec.Answers(**answers))
    )
    known = status or Status(stable=build.STABLE, candidate=build.in_step(weight_since=build.at(0)))
    snapshot = build.snapshot(wish, status=known, commands=commands or Commands(), look=build.look("Pass"), moved=moved)
    return planner.plan(snapshot, build.at(1000))


def test_shifted_answers_pause_and_keep_the_weight():
    after = planned(SHIFTED).status
    assert after.candidate is not None
    assert after.candidate.hold is not None
    assert (after.candidate.hold.reason, after.candidate.weight) == (Reason.ANSWERS_SHIFTED, 10)
    assert after.verdicts == ()


def test_a_person_lets_it_go_on_and_it_is_said_once():
    held = planned(SHIFTED).status
    again = planned(SHIFTED, status=held, commands=Commands(promote="looked at")).status
    assert again.candidate is not None
    assert again.candidate.hold is None
    on = planned(SHIFTED, status=again, commands=Commands(promote="looked at"))
    assert on.status.candidate is not None
    assert on.status.candidate.hold is None


def test_where_it_is_only_to_be_said_nothing_waits():
    plan = planned(SHIFTED, on_shift=spec.OnShift.REPORT)
    assert plan.status.candidate is not None
    assert plan.status.candidate.hold is None
    assert [event.reason for event in plan.events].count(Reason.ANSWERS_SHIFTED) == 1


def test_inputs_unlike_training_hold_the_step():
    free, held = planned(None).status, planned(UNLIKE).status
    assert free.candidate is not None
    assert held.candidate is not None
    assert held.candidate.step == 1
    assert (free.candidate.step, free.candidate.promoting) != (held.candidate.step, held.candidate.promoting)
    assert {one.reason for one in held.conditions if one.type == "Ready"} == {Reason.INPUTS_UNLIKE_TRAINING}


def test_unequal_traffic_is_said_and_stops_nothing():
    after = planned(UNEQUAL).status
    [analyzed] = [one for one in after.conditions if one.type == "Analyzed"]
    assert analyzed.reason == Reason.UNEQUAL_TRAFFIC
    assert "income" in analyzed.message
    assert after.candidate == planned(None).status.candidate


@pytest.mark.parametrize("moved", [SHIFTED, UNLIKE, UNEQUAL], ids=["shifted", "unlike", "unequal"])
def test_none_of_it_is_ever_a_verdict(moved: Found):
    assert planned(moved).status.verdicts == ()
