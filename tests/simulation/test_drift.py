"""A small sample of the drift study: few deployments, months instead of a year; seeds are fixed."""

import pytest
from tests.simulation import drift_study
from tests.simulation.drift_study import OURS

SEED = 20


def cases(some):
    return [pytest.param(one, id=one.name) for one in some]


@pytest.mark.parametrize("case", cases(drift_study.QUIET))
@pytest.mark.parametrize("per_day", [1e3, 1e5], ids=["1e3 a day", "1e5 a day"])
def test_traffic_in_which_nothing_changes_raises_no_alarm(case, per_day):
    alarms = drift_study.run(case, per_day, deployments=8, features=2, days=21, seed=SEED)
    assert alarms.false() == 0


@pytest.mark.parametrize("promise", [pytest.param(one, id=one.case.name) for one in drift_study.PROMISES])
def test_a_change_is_found_in_time(promise):
    alarms = drift_study.run(promise.case, promise.per_day, deployments=8, features=2, days=14, seed=SEED)
    assert alarms.early(OURS) == 0
    assert alarms.days(OURS) <= promise.days


def test_weekends_and_clumps_make_others_alarm():
    """What the comparison is for; if this stops being so the scenario is wrong, not the peers."""
    weekends = next(case for case in drift_study.QUIET if case.name.startswith("weekends"))
    alarms = drift_study.run(weekends, 1e4, deployments=8, features=2, days=21, seed=SEED)
    assert alarms.deployments("PSI > .1") == alarms.deployments("KS p < .05") == 1


def test_a_small_share_of_missing_values_is_what_others_do_not_see():
    alarms = drift_study.run(drift_study.MISSING, 1e4, deployments=8, features=2, days=20, seed=SEED)
    assert alarms.found(OURS) == 1
    assert alarms.found("PSI > .2") == 0
