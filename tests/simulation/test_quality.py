"""A sample of the study of quality after promotion; seeds are fixed."""

import pytest
from tests.simulation import quality_study
from tests.simulation.quality_study import World

pytestmark = pytest.mark.long
VERSIONS, DAYS, SEED = 6, 120, 5


@pytest.mark.parametrize("holdout", [True, False], ids=["holdout", "first weeks"])
@pytest.mark.parametrize("traffic", quality_study.TRAFFIC, ids=lambda one: one.__name__)
@pytest.mark.parametrize("labels", [100, 10_000])
def test_a_version_that_stays_as_good_as_it_was_is_never_blamed(labels, traffic, holdout):
    world = World(labels, traffic=traffic, holdout=holdout)
    found = quality_study.run(world, versions=VERSIONS, days=DAYS, seed=SEED)
    assert (found.early, found.days) == (0, ())


@pytest.mark.parametrize(
    ("after", "labels", "most"),
    [(0.16, 100, 25), (0.16, 1000, 4), (0.16, 10_000, 1), (0.12, 10_000, 8), (0.25, 100, 7), (0.25, 1000, 1)],
)
def test_one_that_becomes_worse_is_found_within_days(after, labels, most):
    found = quality_study.run(World(labels, after=after), versions=VERSIONS, days=70, seed=SEED)
    assert (found.early, found.share) == (0, 1.0)
    assert found.median <= most


def test_a_drop_within_the_tolerance_is_none():
    found = quality_study.run(World(10_000, after=0.085), versions=VERSIONS, days=DAYS, seed=SEED)
    assert found.days == ()
