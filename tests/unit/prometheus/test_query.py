"""The query: exactly these series, whatever the names contain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from seatrial.prometheus import query


def test_the_query_selects_both_counters_of_both_revisions_in_one_window() -> None:
    text = query.samples(
        namespace="shop", name="churn", revisions=["abc", "def"], window=timedelta(minutes=2, milliseconds=1)
    )
    assert text == (
        '{__name__=~"seatrial_requests_total|seatrial_request_duration_seconds_bucket",'
        'deployment_namespace="shop",deployment="churn",revision=~"abc|def"}[120001ms]'
    )


def test_values_cant_leave_their_quotes_or_match_more_than_themselves() -> None:
    assert query.quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert query.literal("v1.2|.*-x") == r"v1\.2\|\.\*-x"


def test_the_time_of_the_query_has_milliseconds() -> None:
    assert query.unix(datetime(2026, 1, 1, microsecond=123_456, tzinfo=UTC)) == "1767225600.123"
