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


def test_a_restart_is_one_of_all_counters_of_the_pod():
    """One that has passed its old total already would seem to have gone on."""
    found = hours(series([50, 60, 4]), series([0, 2, 3], bin_="missing"))
    assert [hour.pods[0].rows["region"] for hour in found] == [(2, 0, 10), (3, 0, 4)]


def scraped(one, **labels):
    return totals.Series(metric={**one.metric, **labels}, values=one.values)


def test_a_pod_that_is_scraped_twice_counts_once():
    own = (scraped(series([5, 15, 18]), replica="a"), scraped(series([4, 14, 19]), replica="b"))
    assert counted(hours(*own)) == [{"a": 10}, {"a": 5}]
    assert [hour.ready for hour in hours(*own)] == [1, 1]


def test_a_scraper_that_was_away_is_stood_in_for_by_the_other():
    own = (scraped(series([5, 15, None, 25]), replica="a"), scraped(series([None, None, 17, 24]), replica="b"))
    assert counted(hours(*own)) == [{"a": 10}, {}, {"a": 7}]


def test_a_pod_that_is_known_to_be_old_does_not_begin_at_zero():
    answer = totals.Answer(
        status="success",
        data=totals.Data(result_type="matrix", result=(series([5, 6]), series([None, 900], pod="b"))),
    )
    found = totals.hours(answer, [COLUMN], started={"b": BEGIN - 90_000})
    assert (counted(found), found[0].ready) == ([{"a": 1}], 2)


def test_values_that_no_counter_has_do_not_count():
    assert counted(hours(series([0, 10]), series([0, "NaN"], pod="b"), series([-1, "+Inf"], pod="c"))) == [{"a": 10}]


def test_hours_of_a_test_are_short():
    one = totals.Series(metric=series([1]).metric, values=((100, "1"), (105, "7"), (110, "9")))
    answer = totals.Answer(status="success", data=totals.Data(result_type="matrix", result=(one,)))
    assert [hour.at for hour in totals.hours(answer, [COLUMN], seconds=5)] == [20, 21]


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


def test_the_features_of_attributions_are_the_bins_of_one_column():
    watched = (COLUMN, build.attributions(shares={"region": 0.5, "age": 0.5}))
    name = "seatrial_attribution_rows_total"
    found = [series([0, rows], feature=feature, name=name) for feature, rows in (("age", 7), ("region", 2), ("new", 5))]
    [hour] = hours(series([0, 10]), *found, watched=watched)
    assert hour.pods[0].rows == {"region": (0, 0, 10), "most influential feature": (0, 0, 0, 0, 2, 7)}


def test_attributions_that_are_switched_on_later_restart_nothing():
    watched = (COLUMN, build.attributions(shares={"region": 0.5, "age": 0.5}))
    name = "seatrial_attribution_rows_total"
    later = series([None, None, 7], feature="age", name=name)
    assert counted(hours(series([100, 110, 130]), later, watched=watched)) == [{"a": 10}, {"a": 20}]


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
