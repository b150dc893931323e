"""From Prometheus' totals to hours: restarts, new pods, pods that were silent, gaps."""

import pytest
from tests.unit.drift import build

from seatrial.drift import columns, totals

COLUMN = columns.Column(name="region", bins=("missing", "unseen", "north"), reference=(0.0, 0.0, 1.0), rows=100)
BEGIN = 490_000 * 3600


def series(values, *, pod="a", bin_="north", feature="region", revision="r1", name="seatrial_feature_rows_total"):
    """One counter; None: no sample in that hour."""
    metric = {"__name__": name, "pod": pod, "feature": feature, "revision": revision}
    metric |= {"code": bin_} if name == "seatrial_refused_rows_total" else {"bin": bin_}
    samples = tuple((BEGIN + 3600 * number, str(value)) for number, value in enumerate(values) if value is not None)
    return totals.Series(metric=metric, values=samples)


def hours(*found, watched=(COLUMN,)):
    answer = totals.Answer(status="success", data=totals.Data(result_type="matrix", result=found))
    return totals.hours(answer, watched)


def counted(found):
    """By hour, rows in the last bin by pod."""
    return [{pod.name: pod.rows["region"][-1] for pod in hour.pods} for hour in found]


def test_an_hour_has_what_was_counted_up_to_its_end():
    found = hours(series([5, 15, 18]))
    assert [hour.at for hour in found] == [490_000, 490_001]
    assert counted(found) == [{"a": 10}, {"a": 3}]


def test_a_restart_counts_from_zero():
    assert counted(hours(series([50, 60, 4]))) == [{"a": 10}, {"a": 4}]


def test_a_new_pod_counts_from_zero():
    found = hours(series([5, 6, 7]), series([None, 40, 42], pod="b"))
    assert counted(found) == [{"a": 1, "b": 40}, {"a": 1, "b": 2}]


def test_a_pod_that_was_silent_is_missing_for_an_hour():
    found = hours(series([5, 6, 7, 8]), series([1, None, 90, 95], pod="b"))
    assert counted(found) == [{"a": 1}, {"a": 1}, {"a": 1, "b": 5}]
    assert [hour.ready for hour in found] == [1, 2, 2]


def test_hours_without_any_sample_are_gaps():
    assert [hour.at - 490_000 for hour in hours(series([1, 2, None, None, 9, 10]))] == [0, 4]


def test_refused_rows_stand_by_their_code():
    found = hours(
        series([0, 10]),
        series([0, 3], bin_="Missing", name="seatrial_refused_rows_total"),
        series([0, 0], bin_="missing"),
    )
    assert found[0].pods[0].refused == {"region": {"Missing": 3}}
    assert found[0].pods[0].rows == {"region": (0, 0, 10)}


def test_what_is_no_column_does_not_count():
    other = series([0, 99], feature="age")
    gauge = series([1, 1], name="seatrial_feature_reference_ratio")
    assert counted(hours(series([0, 10]), other, gauge)) == [{"a": 10}]


def test_a_feature_and_a_prediction_are_told_apart():
    column = build.numbers("score", kind=columns.Kind.PREDICTION)
    assert hours(series([0, 5], feature="score"), watched=(column,)) == ()


@pytest.mark.parametrize(
    ("found", "named"),
    [
        pytest.param((series([1, 2]), series([1, 2], revision="r2")), "2 revisions", id="two revisions"),
        pytest.param(
            (totals.Series(metric=series([1]).metric, values=((BEGIN, "1"), (BEGIN + 60, "2"))),), "one hour", id="step"
        ),
    ],
)
def test_what_is_no_record_of_one_revision_by_the_hour_is_refused(found, named):
    with pytest.raises(ValueError, match=named):
        hours(*found)
