"""What a source of metrics hands over: samples of pods' counters, and the pods as Kubernetes knows them.

Types only. Prometheus and a direct reading of the pods give the same; nothing here knows which it was.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

REQUESTS_METRIC = "seatrial_requests_total"
LATENCY_METRIC = "seatrial_request_duration_seconds_bucket"
RELAYED_METRIC = "seatrial_relayed_requests_total"
COPIES_METRIC = "seatrial_shadow_requests_total"
ROWS_METRIC = "seatrial_shadow_rows_total"
RELAYING_METRIC = "seatrial_relay_in_flight_requests"
COUNTED = ("ok", "degraded", "rejected", "error")  # requests are all outcomes but shed
UNREACHABLE, LATE, SHED = "unreachable", "late", "shed"
GIVEN = (*COUNTED, SHED, UNREACHABLE, LATE)  # how a request ends that a stable pod gives to the candidate
COVERED = "covered"  # after a slash, of a relayed request that stable answered in the candidate's place
SAME, DIFFERENT = "same", "different"  # rows of copies whose answers were compared


class Arm(enum.StrEnum):
    STABLE = "stable"
    CANDIDATE = "candidate"


class Counter(enum.StrEnum):
    REQUESTS = "requests"  # label: the outcome
    LATENCY = "latency"  # label: the bucket's le
    # Counted by stable's pods, about one candidate:
    RELAYED = "relayed"  # label: the outcome; with /covered where stable answered instead
    COPIES = "copies"  # label: the outcome
    ROWS = "rows"  # of copies; label: the result
    RELAYING = "relaying"  # no count, always 0: the pod could relay, whether or not it was told to; no label

    @property
    def about_candidate(self) -> bool:
        """A stable pod exports it, and it says something of the candidate."""
        return self in (Counter.RELAYED, Counter.COPIES, Counter.ROWS, Counter.RELAYING)


Key = tuple[Counter, str]


class Relay(msgspec.Struct, frozen=True):
    """Stable's pods give requests to the candidate, and count what becomes of them.

    `by_request`: each is assigned by itself, at random; not so when a header's value decides. `copies`: it gets copies
    of requests that stable has answered. `paired`: what stable has failed at as well, in the candidate's place, is no
    failure of the candidate's.
    """

    by_request: bool = True
    copies: bool = False
    paired: bool = False


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
