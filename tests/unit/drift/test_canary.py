"""Answers and inputs of a candidate beside stable's: what is said of a step, and what never is."""

import numpy as np
import pytest
from tests.unit.drift import build

from seatrial.drift import answers, canary, columns, policy, sets, watch

POLICY = policy.Policy()
INCOME = build.numbers("income")
TENTHS = build.numbers("score", kind=columns.Kind.PREDICTION, edges=tuple(part / 10 for part in range(11)))
WATCHED = (INCOME, TENTHS)


@pytest.mark.parametrize(("slots", "expected"), [(1, -4.3106), (2, -4.668146), (3, -2.261326), (4, 3.381505)], ids=str)
def test_the_evidence_is_that_of_the_reference(slots, expected):
    candidate = np.array([(50, 10), (40, 20), (30, 30), (20, 40)], float)[:slots]
    stable = np.array([(450, 50), (460, 60), (440, 45), (455, 55)], float)[:slots]
    chosen = sets.family(2, ordered=False)
    found, _ = answers.log_evidence(candidate, stable, chosen=chosen, margin=0.2, dispersion=1.0)
    assert found == pytest.approx(expected, abs=1e-4)


def test_slots_in_which_an_arm_was_silent_say_nothing():
    chosen = sets.family(2, ordered=False)
    rows, nothing = np.array([(50.0, 10.0)]), np.zeros((1, 2))
    assert answers.log_evidence(rows, nothing, chosen=chosen, margin=0.2, dispersion=1.0) == (0.0, 0)


def arm(rng, *, income, score, rows, slots=40, pods=2, watched=WATCHED):
    """Two pods with rows of these shares."""
    shares = {"income": income, "score": score}

    def pod(name):
        drawn = {one.name: (0, 0, *map(int, rng.multinomial(rows, shares[one.name])), 0) for one in watched}
        return watch.Pod(name=name, rows=drawn)

    hours = tuple(watch.Hour(at=at, pods=tuple(pod(f"p{place}") for place in range(pods))) for at in range(slots))
    return canary.Arm(columns=watched, slots=hours)


def moved(by):
    """Deciles of which so much has gone to the upper half."""
    return np.array([0.1 - by / 5] * 5 + [0.1 + by / 5] * 5)


def judged(stable, candidate):
    return canary.judge(stable, candidate, margin=0.2, rate=0.005, policy=POLICY)


EVEN = moved(0)


@pytest.mark.parametrize("by", [0.0, 0.1, 0.2], ids=str)
def test_answers_that_differ_as_much_as_they_may_are_never_said_to_be_shifted(by):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        stable = arm(rng, income=EVEN, score=EVEN, rows=135)
        assert judged(stable, arm(rng, income=EVEN, score=moved(by), rows=15)) == canary.Found()


def test_answers_that_differ_by_more_are_said_with_both_shares():
    rng = np.random.default_rng(1)
    stable = arm(rng, income=EVEN, score=EVEN, rows=135)
    found = judged(stable, arm(rng, income=EVEN, score=moved(0.4), rows=15))
    assert found.shifted.startswith("score: ")
    assert "of the candidate in 6, 7, 8 and 3 more" in found.shifted
    assert (found.unlike, found.unequal) == ("", "")


def test_clumps_are_no_difference():
    """Ten equal rows at a time: the split between pods tells."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        clumped = [
            canary.Arm(
                columns=WATCHED,
                slots=tuple(
                    watch.Hour(
                        at=slot.at,
                        pods=tuple(
                            watch.Pod(
                                name=pod.name, rows={n: tuple(10 * part for part in r) for n, r in pod.rows.items()}
                            )
                            for pod in slot.pods
                        ),
                    )
                    for slot in one.slots
                ),
            )
            for one in (arm(rng, income=EVEN, score=EVEN, rows=14), arm(rng, income=EVEN, score=EVEN, rows=3))
        ]
        assert judged(*clumped).shifted == ""


def test_arms_with_other_requests_are_not_compared():
    rng = np.random.default_rng(1)
    stable = arm(rng, income=EVEN, score=EVEN, rows=135)
    found = judged(stable, arm(rng, income=moved(0.4), score=moved(0.45), rows=60))
    assert "other requests: income" in found.unequal
    assert found.shifted == ""


def test_inputs_that_are_grossly_unlike_the_candidates_own_reference_are_said():
    """Its reference is in thousands, the traffic is not."""
    rng = np.random.default_rng(1)
    thousands = build.numbers("income", edges=tuple(range(11)))
    stable = arm(rng, income=EVEN, score=EVEN, rows=135)
    rows = {"income": (0, *(0,) * 11, 200), "score": (0, 0, *(20,) * 10, 0)}
    slots = tuple(watch.Hour(at=at, pods=tuple(watch.Pod(name=name, rows=rows) for name in "ab")) for at in range(10))
    found = judged(stable, canary.Arm(columns=(thousands, TENTHS), slots=slots))
    assert "income" in found.unlike
    assert found.unequal == ""


def test_inputs_that_are_as_unlike_for_stable_are_nobodys_fault():
    rng = np.random.default_rng(1)
    high = np.array([0.0] * 9 + [1.0])
    stable = arm(rng, income=high, score=EVEN, rows=135)
    assert judged(stable, arm(rng, income=high, score=EVEN, rows=60)).unlike == ""


def test_nothing_is_said_of_nothing():
    nothing = canary.Arm(columns=WATCHED, slots=())
    assert judged(nothing, nothing) == canary.Found()
