"""Long windows: nothing is lost, the same whenever it is folded, and the same verdict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.analysis import build

from seatrial.analysis import fold, slots, verdict
from seatrial.analysis.judgement import Outcome

HOURS = 5


def window(seconds, count, *, seed=1, worse=1.0):
    rng = np.random.default_rng(seed)
    rows = [(40, 360, rng.poisson(0.2 * worse), rng.poisson(1.8)) for _ in range(count)]
    return [
        build.slot(
            slots.total((slots.PodCounts(requests=n_c, errors=int(min(n_c, x_c)), name="c", slower={"0.1": 0}),)),
            slots.total((slots.PodCounts(requests=n_s, errors=int(x_s), name="s", slower={"0.1": 2}),)),
            seconds,
        )
        for n_c, n_s, x_c, x_s in rows
    ]


def totals(given):
    return [
        (arm.requests, arm.errors, arm.slower.get("0.1"), sum(pod.requests for pod in arm.pods))
        for arm in (fold._arm([getattr(slot, name) for slot in given]) for name in ("stable", "candidate"))
    ]


@given(st.sampled_from([1.0, 5.0, 7.0, 15.0, 60.0]), st.integers(1, 2000))
def test_nothing_is_lost_and_the_last_half_hour_is_as_it_was(seconds, count):
    whole = window(seconds, 1) * count
    folded = fold.older(whole)
    assert totals(folded) == totals(whole)
    assert sum(slot.seconds for slot in folded) == pytest.approx(seconds * count)
    recent = int(1800 // seconds)
    assert list(folded[-recent:]) == whole[-recent:]


@pytest.mark.parametrize("seconds", [7.0, 15.0, 60.0])
def test_folding_at_every_look_gives_what_folding_once_gives(seconds):
    whole = window(seconds, int(14 * 3600 / seconds))
    step = max(1, int(240 / seconds))
    kept = ()
    for begin in range(0, len(whole), step):
        kept = fold.older((*kept, *whole[begin : begin + step]))
    assert kept == fold.older(whole)


def test_a_weekend_fits():
    assert len(fold.older(window(15.0, 1) * (60 * 240))) < 500


def test_a_slot_without_answers_takes_no_edge_away():
    quiet = build.slot(build.arm(0), build.arm(0))
    folded = fold.older([*window(15.0, 10), quiet] * 60)
    assert folded[0].stable.slower["0.1"] == 2 * sum(
        slot.stable.requests > 0 for slot in ([*window(15.0, 10), quiet] * 2)[:20]
    )


def test_a_metric_that_was_unseen_in_part_of_a_stretch_was_unseen_in_it():
    rows = window(15.0, 400)
    rows[3] = build.slot(build.arm(40, unseen=("errors",)), rows[3].stable)
    assert fold.older(rows)[0].candidate.unseen == ("errors",)


@pytest.mark.parametrize(("worse", "outcome"), [(1.0, Outcome.PASS), (1.6, Outcome.FAIL)])
def test_folded_evidence_is_that_of_the_slots(worse, outcome):
    whole = window(15.0, HOURS * 240, worse=worse, seed=8)
    fine, coarse = verdict.judge(whole, build.PLAIN), verdict.judge(fold.older(whole), build.PLAIN)
    assert fine.outcome is coarse.outcome is outcome
    if outcome is Outcome.PASS:
        assert coarse.metric("errors").log_evidence == pytest.approx(fine.metric("errors").log_evidence, rel=0.02)
