"""The query: exactly these series, whatever the names contain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seatrial.analysis import samples
from seatrial.analysis.samples import Counter
from seatrial.prometheus import query

SUBJECT = query.Subject(namespace="shop", name="churn", revisions=("abc", "def"), pods=("p-1", "p.2"))


def test_the_query_selects_both_counters_of_both_revisions_in_one_window() -> None:
    assert query.samples(SUBJECT, window=timedelta(minutes=2, milliseconds=1)) == (
        '{__name__=~"seatrial_requests_total|seatrial_request_duration_seconds_bucket",'
        'deployment_namespace="shop",deployment="churn",revision=~"abc|def",'
        'namespace=~"shop|",pod=~"p-1|p\\\\.2|"}[120001ms]'
    )


def test_what_stable_counts_of_the_candidate_is_asked_for_with_the_rest_and_of_nobody_else() -> None:
    relayed = query.Subject(namespace="shop", name="churn", revisions=("abc", "d.f"), pods=("p-1",), candidate="d.f")
    assert query.samples(relayed, window=timedelta(seconds=1)) == (
        '{__name__=~"seatrial_requests_total|seatrial_request_duration_seconds_bucket|seatrial_relayed_requests_total|'
        'seatrial_shadow_requests_total|seatrial_shadow_rows_total|seatrial_relay_in_flight_requests",'
        'deployment_namespace="shop",deployment="churn",revision=~"abc|d\\\\.f",candidate=~"d\\\\.f|",'
        'namespace=~"shop|",pod=~"p-1|"}[1000ms]'
    )


@pytest.mark.parametrize(
    ("name", "labels", "counted"),
    [
        (samples.REQUESTS_METRIC, {"outcome": "ok"}, (Counter.REQUESTS, "ok")),
        (samples.LATENCY_METRIC, {"le": "1"}, (Counter.LATENCY, "1.0")),
        (samples.RELAYED_METRIC, {"outcome": "late", "covered": "true"}, (Counter.RELAYED, "late/covered")),
        (samples.RELAYED_METRIC, {"outcome": "late", "covered": "false"}, (Counter.RELAYED, "late")),
        (samples.RELAYED_METRIC, {"outcome": "ok", "covered": "false", "candidate": "old"}, None),
        (samples.RELAYED_METRIC, {"outcome": "invented", "covered": "false"}, None),
        (samples.COPIES_METRIC, {"outcome": "unreachable"}, (Counter.COPIES, "unreachable")),
        (samples.ROWS_METRIC, {"result": "different"}, (Counter.ROWS, "different")),
        (samples.RELAYING_METRIC, {"candidate": ""}, (Counter.RELAYING, "")),
        ("seatrial_relay_ratio", {}, None),
    ],
)
def test_a_series_is_a_counter_only_if_it_is_one_of_ours(name: str, labels: dict[str, str], counted: object) -> None:
    assert query.counted(name, {"candidate": "new", **labels}, candidate="new") == counted


def test_a_pod_that_gives_nobody_requests_says_nothing_of_candidates() -> None:
    assert query.counted(samples.ROWS_METRIC, {"candidate": "new", "result": "same"}) is None


def test_whoever_exports_such_series_is_asked_for_without_a_condition_on_pods() -> None:
    assert query.exporters(SUBJECT) == (
        "topk(3, group by (namespace, pod, instance) (seatrial_requests_total{"
        'deployment_namespace="shop",deployment="churn",revision=~"abc|def"}))'
    )


def test_values_cant_leave_their_quotes_or_match_more_than_themselves() -> None:
    assert query.quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert query.literal("v1.2|.*-x") == r"v1\.2\|\.\*-x"


def test_the_time_of_the_query_has_milliseconds() -> None:
    assert query.unix(datetime(2026, 1, 1, microsecond=123_456, tzinfo=UTC)) == "1767225600.123"
