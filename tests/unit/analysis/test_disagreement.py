"""Answers to copies that differ from stable's: proven above the maximum, proven below, or open."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.unit.analysis.build import arm, slot

from seatrial.analysis import disagreement, explain, judgement, policy, slots, table, verdict
from seatrial.analysis.judgement import Outcome

LIMIT = policy.Policy(disagreement=0.02)


def copied(same: int, different: int, *, rows_of_a_copy: int = 1) -> slots.Slot:
    copies = (same + different) // rows_of_a_copy
    own = arm(copies, copies=copies, compared=copies, same=same, different=different)
    return msgspec.structs.replace(slot(own, arm(900), 5.0), by_request=True)


def found(*counted: slots.Slot, limits: policy.Policy = LIMIT) -> judgement.MetricEvidence:
    return verdict.judge(counted, limits).metric("disagreement")


def test_it_is_not_judged_unless_somebody_asks():
    judged = verdict.judge([copied(50, 50)] * 5, policy.Policy())
    assert "disagreement" not in {metric.name for metric in judged.metrics}
    assert explain.shift(judged) == ""


def test_without_rows_there_is_nothing_to_say():
    assert "disagreement" not in {one.name for one in verdict.judge([slot(arm(10), arm(90))], LIMIT).metrics}


@pytest.mark.parametrize(
    ("same", "different", "outcome"),
    [(90, 10, Outcome.FAIL), (98, 2, Outcome.INCONCLUSIVE), (100, 0, Outcome.PASS)],
    ids=["five times as many", "as many as may", "none"],
)
def test_it_is_above_below_or_open(same: int, different: int, outcome: Outcome):
    assert found(*[copied(same, different)] * 40).outcome is outcome


def test_it_never_changes_the_verdict():
    rows = [copied(0, 100)] * 12
    judged, unasked = (verdict.judge(rows, limits) for limits in (LIMIT, policy.Policy()))
    assert (judged.outcome, judged.reason) == (unasked.outcome, unasked.reason)
    assert judged.outcome is not Outcome.FAIL
    assert "disagreement" not in explain.sentence(judged)


def test_the_words_say_how_many_differ_and_how_many_may():
    words = explain.shift(verdict.judge([copied(90, 10)] * 12, LIMIT))
    assert words.startswith("disagreement: 120/1200 (10%) rows differ from stable's, 2% may; ratio 5, at least ")


def test_what_was_proven_once_stays_said():
    before = [copied(50, 50)] * 6
    assert found(*before).outcome is found(*before, *[copied(100, 0)] * 100).outcome is Outcome.FAIL


def test_many_rows_of_few_copies_prove_little():
    one_by_one, together = (found(copied(900, 100, rows_of_a_copy=rows)) for rows in (1, 500))
    assert one_by_one.outcome is Outcome.FAIL
    assert together.outcome is Outcome.INCONCLUSIVE


def test_a_version_at_the_maximum_is_hardly_ever_said_to_be_above_it():
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(60):
        counts = random.binomial(50, 0.02, size=200)
        wrong += found(*[copied(50 - int(one), int(one)) for one in counts]).outcome is Outcome.FAIL
    assert wrong <= 1


def test_rows_are_not_compared_where_nothing_was_copied():
    assert disagreement.run(table.build([slot(arm(10), arm(90))]), LIMIT) is None
