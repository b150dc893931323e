"""A sample of the study of late labels; seeds are fixed."""

import pytest
from tests.simulation import label_study

pytestmark = pytest.mark.long
CANARIES, SEED = 12, 3


def test_by_arrival_every_equal_candidate_is_blamed_within_minutes():
    found = label_study.run(label_study.WRONG, canaries=CANARIES, seed=SEED, arrival=True)
    assert found.share == 1
    assert found.median <= 10


def test_by_cohort_no_equal_candidate_is():
    assert label_study.run(label_study.WRONG, canaries=CANARIES, seed=SEED).share == 0


@pytest.mark.parametrize(("wrong", "minutes"), [(0.12, 60), (0.16, 24)])
def test_a_worse_one_is_found_while_most_of_its_labels_are_still_to_come(wrong, minutes):
    found = label_study.run(wrong, canaries=CANARIES, seed=SEED)
    assert found.share == 1
    assert found.median <= minutes
