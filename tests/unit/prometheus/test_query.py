"""The query: exactly these series, whatever the names contain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from seatrial.prometheus import query

SUBJECT = query.Subject(namespace="shop", name="churn", revisions=("abc", "def"), pods=("p-1", "p.2"))


def test_the_query_selects_both_counters_of_both_revisions_in_one_window() -> None:
    assert query.samples(SUBJECT, window=timedelta(minutes=2, milliseconds=1)) == (
        '{__name__=~"seatrial_requests_total|seatrial_request_duration_seconds_bucket",'
        'deployment_namespace="shop",deployment="churn",revision=~"abc|def",'
        'namespace=~"shop|",pod=~"p-1|p\\\\.2|"}[120001ms]'
    )


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
