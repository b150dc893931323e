"""PromQL: raw counters of one or two revisions over a stretch of time, and who exports them.

An instant query of a range selector returns the samples as scraped; query_range would align them to a grid, and rate()
would extrapolate. One query for everything, so that both arms and all counters come from one moment of Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

REQUESTS = "seatrial_requests_total"
LATENCY = "seatrial_request_duration_seconds_bucket"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose counters: a ModelDeployment's revisions, and the pods that the API server shows of them."""

    namespace: str
    name: str
    revisions: tuple[str, ...]
    pods: tuple[str, ...] = ()


def samples(subject: Subject, *, window: timedelta) -> str:
    """PromQL for the samples of the subject's pods within a window that ends at the query's time.

    Series that name another namespace or pod than ours stay with Prometheus: whoever exports our labels can't make the
    answer large. Series that name neither are had: their address tells whose they are.
    """
    metrics = "|".join([REQUESTS, LATENCY])
    matchers = [
        f"__name__=~{quoted(metrics)}",
        *_labels(subject),
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
        f'pod=~{_any_of(subject.pods)[:-1]}|"',
    ]
    return f"{{{','.join(matchers)}}}[{max(1, math.ceil(window / timedelta(milliseconds=1)))}ms]"


def exporters(subject: Subject) -> str:
    """PromQL for whoever exports such counters now: up to three namespaces, pods and addresses."""
    return f"topk(3, group by (namespace, pod, instance) ({REQUESTS}{{{','.join(_labels(subject))}}}))"


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


def _labels(subject: Subject) -> list[str]:
    return [
        f"deployment_namespace={quoted(subject.namespace)}",
        f"deployment={quoted(subject.name)}",
        f"revision=~{_any_of(subject.revisions)}",
    ]


def _any_of(texts: Iterable[str]) -> str:
    return quoted("|".join(literal(text) for text in texts))
