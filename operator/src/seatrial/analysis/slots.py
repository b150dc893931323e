"""What the statistics read: increments of requests and bad events, time slot by time slot.

The Structs are the JSON of `seatrial replay` as well: decoding validates. Nothing here computes.

Requests are all answers except shed ones; `shed` counts those, None where it isn't known. `slower` maps a histogram
edge in seconds, as text, to the number of requests that took longer, out of `timed` where that is given, as the
candidate's own pods count them under Relay; `requests` are then those that stable's pods gave it. Pods are told apart
by `name`, or by their place in the tuple when they have none; they may be left out, then noise is estimated over time
instead of between pods. `unseen` names metrics that could not be told in the slot because series were missing; who has
only counts leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Edge = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?(e-?[0-9]+)?$")]

Metric = Literal["errors", "latency", "rejections", "degraded"]


class PodCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Increments of one pod within one slot."""

    requests: Count
    errors: Count = 0
    rejected: Count = 0
    degraded: Count = 0
    shed: Count | None = None
    slower: dict[Edge, Count] = {}
    name: str = ""

    @property
    def asked(self) -> int:
        """Requests that came, answered or shed."""
        return self.requests + (self.shed or 0)

    @property
    def measured(self) -> int:
        """Requests that `slower` is of."""
        return self.requests


class ArmCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Increments of one arm (all pods of stable, or of the candidate) within one slot.

    Only of a candidate that stable's pods give requests to:

    Attributes:
        unreachable: among the errors, those that reached no pod.
        late: among the errors, those that were not waited for any longer.
        covered: answered by stable in the candidate's place, whatever the reason.
        copies: of what was asked, requests that stable had answered already.
        compared: copies that were answered as well, so that their rows can be compared.
        same: rows of copies with stable's answer.
        different: rows of copies with another one.
    """

    requests: Count
    errors: Count = 0
    rejected: Count = 0
    degraded: Count = 0
    shed: Count | None = None
    slower: dict[Edge, Count] = {}
    pods: tuple[PodCounts, ...] = ()
    unseen: tuple[Metric, ...] = ()
    unreachable: Count = 0
    late: Count = 0
    covered: Count = 0
    copies: Count = 0
    compared: Count = 0
    same: Count = 0
    different: Count = 0
    timed: Count | None = None

    @property
    def asked(self) -> int:
        """Requests that came, answered or shed."""
        return self.requests + (self.shed or 0)

    @property
    def measured(self) -> int:
        """Requests that `slower` is of."""
        return self.requests if self.timed is None else self.timed


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Both arms over the same stretch of time.

    `by_request`: each request was assigned to its arm by itself, at random, whatever pod it came to.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    stable: ArmCounts
    candidate: ArmCounts
    by_request: bool = False


def edge_text(seconds: float) -> str:
    """One spelling for a histogram edge, whoever wrote it: Prometheus 3 says `1.0`, older ones and clients `1`."""
    return f"{seconds:.12g}"


def shed(counts: Iterable[PodCounts | ArmCounts]) -> int | None:
    """The sum, where all know theirs."""
    known = [one.shed for one in counts]
    return None if None in known else sum(one or 0 for one in known)


def total(counts: tuple[PodCounts, ...], *, unseen: tuple[Metric, ...] = ()) -> ArmCounts:
    """The arm these pods make up. Edges not known to every pod are left out: their sum would be too small."""
    edges = set.intersection(*(set(pod.slower) for pod in counts)) if counts else set()
    return ArmCounts(
        requests=sum(pod.requests for pod in counts),
        errors=sum(pod.errors for pod in counts),
        rejected=sum(pod.rejected for pod in counts),
        degraded=sum(pod.degraded for pod in counts),
        shed=shed(counts),
        slower={edge: sum(pod.slower[edge] for pod in counts) for edge in sorted(edges, key=float)},
        pods=counts,
        unseen=unseen,
    )
