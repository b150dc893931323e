"""Counters in a real Prometheus, asked as the documentation says, become the hours that drift is judged by."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest
from tests.contract import prometheus_server

from seatrial.drift import columns, totals

HOUR = 3600
SCRAPES = 12
"""Per hour."""
COLUMN = columns.Column(name="region", bins=("missing", "unseen", "north"), reference=(0.0, 0.0, 1.0), rows=100)
QUERY = 'last_over_time({__name__=~"seatrial_(feature|prediction|refused)_rows_total",revision="r1"}[1h])'
BEGIN = int(time.time()) // HOUR * HOUR - 24 * HOUR


def rows(pod: str, at: int, *, born: int) -> int:
    """Twelve rows an hour since the pod was born, one with each scrape; it restarts in the fourth hour."""
    scrapes = (at - born) // (HOUR // SCRAPES)
    restart = (BEGIN + 3 * HOUR + HOUR // 2 - born) // (HOUR // SCRAPES)
    return scrapes if pod == "b" or scrapes < restart else scrapes - restart


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with six hours of two pods, of which one came in the third and left in the fifth."""
    folder = tmp_path_factory.mktemp("prometheus")
    lines = ["# HELP seatrial_feature_rows Rows.", "# TYPE seatrial_feature_rows counter"]
    for pod, born, gone in (("a", BEGIN, BEGIN + 6 * HOUR), ("b", BEGIN + 2 * HOUR + 600, BEGIN + 4 * HOUR + 1200)):
        labels = f'deployment="churn",revision="r1",pod="{pod}",feature="region"'
        for at in range(born, gone + 1, HOUR // SCRAPES):
            for name, total in (("north", rows(pod, at, born=born)), ("missing", 0), ("unseen", 0)):
                lines.append(f'seatrial_feature_rows_total{{{labels},bin="{name}"}} {total} {at}')
    prometheus_server.write_past(folder, lines)
    with prometheus_server.running(folder) as base:
        yield base


@pytest.mark.timeout(900)  # promtool is built the first time
def test_hours_hold_what_was_counted_through_births_restarts_and_ends(url: str) -> None:
    asked = {"query": QUERY, "start": BEGIN, "end": BEGIN + 7 * HOUR, "step": "1h"}
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(asked)}", timeout=60) as answer:
        found = totals.hours(msgspec.convert(json.load(answer), totals.Answer), [COLUMN])
    assert [hour.at - BEGIN // HOUR for hour in found] == list(range(6))
    counted = [{pod.name: pod.rows["region"][-1] for pod in hour.pods} for hour in found]
    assert counted == [
        {"a": 12},
        {"a": 12},
        {"a": 12, "b": 10},
        {"a": 6, "b": 12},
        {"a": 12, "b": 4},
        {"a": 12},
    ]
