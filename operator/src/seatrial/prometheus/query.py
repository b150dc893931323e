"""The one query: raw counters of one or two revisions over a stretch of time, as PromQL.

An instant query of a range selector returns the samples as scraped; query_range would align them to a grid, and rate()
would extrapolate. One query for everything, so that both arms and all counters come from one moment of Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

REQUESTS = "seatrial_requests_total"
LATENCY = "seatrial_request_duration_seconds_bucket"


def samples(*, namespace: str, name: str, revisions: Sequence[str], window: timedelta) -> str:
    """PromQL for the samples of a ModelDeployment's revisions within a window that ends at the query's time."""
    metrics = "|".join([REQUESTS, LATENCY])
    matchers = [
        f"__name__=~{quoted(metrics)}",
        f"deployment_namespace={quoted(namespace)}",
        f"deployment={quoted(name)}",
        f"revision=~{quoted('|'.join(literal(revision) for revision in revisions))}",
    ]
    return f"{{{','.join(matchers)}}}[{max(1, math.ceil(window / timedelta(milliseconds=1)))}ms]"


def quoted(text: str) -> str:
    """A PromQL string; the escapes are Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A pattern (RE2) for exactly this text. re.escape would escape what RE2 refuses to see escaped."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in text)


def unix(moment: datetime) -> str:
    """A moment as Prometheus takes it: seconds with milliseconds."""
    return f"{moment.timestamp():.3f}"
