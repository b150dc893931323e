"""What a source of metrics hands over: samples of pods' counters, and the pods as Kubernetes knows them.

Types only. Prometheus and a direct reading of the pods give the same; nothing here knows which it was.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

REQUESTS_METRIC = "seatrial_requests_total"
LATENCY_METRIC = "seatrial_request_duration_seconds_bucket"
COUNTED = ("ok", "degraded", "rejected", "error")  # requests are all outcomes but shed


class Arm(enum.StrEnum):
    STABLE = "stable"
    CANDIDATE = "candidate"


class Counter(enum.StrEnum):
    REQUESTS = "requests"  # label: the outcome
    LATENCY = "latency"  # label: the bucket's le


Key = tuple[Counter, str]


class Series(msgspec.Struct, frozen=True):
    """One time series: (unix time, value) pairs, in the order they came.

    `target` tells the scrapes of a pod apart (job and endpoint, say) where the source knows them. Series of one target
    and label add up (transports); targets don't: each of them has the whole pod.
    """

    arm: Arm
    pod: str
    counter: Counter
    label: str
    samples: Sequence[tuple[float, float]]
    target: str = ""


class Pod(msgspec.Struct, frozen=True):
    """A pod as Kubernetes knows it; it decides only about freshness. `started`: unix time of status.startTime."""

    arm: Arm
    name: str
    ready: bool = True
    started: float | None = None
