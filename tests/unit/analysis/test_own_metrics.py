"""The user's own numbers: whatever PromQL answers, one finite number or a reason why there is none."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seatrial.analysis import own_metrics
from seatrial.api.spec import Metric, OnNoData
from seatrial.api.values import Number

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(minutes=2)


def metric(query: str = "up", *, at_most: str | None = "0.2", at_least: str | None = None, **more: Any) -> Metric:
    bounds = {"max": Number(at_most) if at_most else None, "min": Number(at_least) if at_least else None}
    return Metric(name="fraud", query=query, **bounds, **more)


def answer(*values: float, seconds: float = 0, **more: Any) -> own_metrics.Answer:
    return own_metrics.Answer(at=NOW + timedelta(seconds=seconds), values=values, **more)


def judged(asked: Metric, *answers: own_metrics.Answer, seconds: float = 0) -> own_metrics.Result:
    return own_metrics.judge(
        asked,
        answers,
        now=NOW + timedelta(seconds=seconds),
        patience=PATIENCE,
        scrape_interval=timedelta(seconds=15),
    )


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0.1,), "Pass"),
        ((0.2,), "Pass"),
        ((0.3,), "Inconclusive"),
        ((0.3, 0.3), "Fail"),
        ((0.3, 0.1, 0.3), "Inconclusive"),
        ((0.1, 0.3, 0.3), "Fail"),
        ((0.3, 0.3, 0.1), "Pass"),
    ],
    ids=str,
)
def test_only_two_bad_numbers_in_a_row_are_a_failure(values: tuple[float, ...], outcome: str) -> None:
    assert judged(metric(), *(answer(value) for value in values)).outcome == outcome


@pytest.mark.parametrize(("value", "outcome"), [(0.5, "Fail"), (1.0, "Pass"), (1.5, "Pass"), (2.5, "Fail")], ids=str)
def test_both_bounds_count(value: float, outcome: str) -> None:
    between = metric(at_most="2", at_least="1")
    assert judged(between, answer(value), answer(value)).outcome == outcome


NOTHING = [
    pytest.param(answer(), "NoData", "gives no series", id="empty"),
    pytest.param(answer(math.nan), "NoData", "nan, as a division by zero", id="nan"),
    pytest.param(answer(math.inf), "NoData", "inf, as a division by zero", id="infinite"),
    pytest.param(answer(0.1, 0.3), "NoData", "2 series, it must give one: aggregate", id="many"),
    pytest.param(answer(0.1, warnings=("a store is away",)), "NoData", "partial: a store is away", id="partial"),
    pytest.param(answer(error="Prometheus did not answer"), "Error", "did not answer", id="down"),
    pytest.param(answer(error="400: parse error", misconfigured=True), "Error", "parse error", id="refused"),
]


@pytest.mark.parametrize(("given", "outcome", "said"), NOTHING)
def test_without_exactly_one_number_nothing_passes_and_the_reason_is_told(
    given: own_metrics.Answer, outcome: str, said: str
) -> None:
    result = judged(metric(), given)
    assert (result.outcome, result.value, result.misconfigured) == (outcome, None, given.misconfigured)
    assert said in result.message
    assert result.message.startswith("fraud has no number: ")


@pytest.mark.parametrize(("given", "outcome", "said"), NOTHING)
def test_what_may_be_ignored_is_unless_the_query_itself_is_wrong(
    given: own_metrics.Answer, outcome: str, said: str
) -> None:
    result = judged(metric(on_no_data=OnNoData.IGNORE), given)
    assert result.outcome == ("Error" if given.misconfigured else "Pass")
    assert said in result.message


def test_a_metric_may_be_missing_for_so_long_where_that_means_a_return() -> None:
    asked = metric(on_no_data=OnNoData.ROLLBACK)
    seen = [answer(0.1), *(answer(seconds=at) for at in (15, 30, 119))]
    assert judged(asked, *seen, seconds=119).outcome == "NoData"
    result = judged(asked, *seen, seconds=120)
    assert (result.outcome, result.message) == ("Fail", "fraud has no number: the query gives no series, for 120 s")


def test_a_query_that_prometheus_refuses_never_rolls_back() -> None:
    asked = metric(on_no_data=OnNoData.ROLLBACK)
    assert judged(asked, answer(error="400", misconfigured=True), seconds=900).outcome == "Error"


@pytest.mark.parametrize(
    ("query", "said"),
    [("rate(x[30s])", True), ("rate(x[1m])", False), ("rate(x[2m])", False), ("x", False)],
    ids=str,
)
def test_a_range_too_short_for_a_rate_is_named(query: str, said: bool) -> None:
    assert ("fewer than 4 scrapes" in judged(metric(query), answer()).message) is said


def test_before_the_first_answer_nothing_passes() -> None:
    assert judged(metric()).outcome == "NoData"


VALUES = {"revision": "c1", "stableRevision": "s1", "window": "90s"}


def test_placeholders_are_filled_in_and_can_not_leave_their_quotes() -> None:
    query = 'x{revision="{{revision}}",other="{{ stableRevision }}"}[{{window}}]'
    assert own_metrics.filled(metric(query), VALUES) == 'x{revision="c1",other="s1"}[90s]'
    assert own_metrics.filled(metric('x{a="{{revision}}"}'), {"revision": 'a"} or vector(0) #\\'}) == (
        'x{a="a\\"} or vector(0) #\\\\"}'
    )


def test_a_placeholder_that_does_not_exist_is_named() -> None:
    with pytest.raises(own_metrics.UnknownPlaceholder, match=r"fraud: there is no \{\{pod\}\}, only \{\{revision\}\}"):
        own_metrics.filled(metric("{{pod}}"), VALUES)
