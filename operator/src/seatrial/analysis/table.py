"""Slots as arrays: one column for each kind of event, so that the tests run over all slots at once.

Columns: errors, rejections, degraded answers, then "slower than" each histogram edge, ascending. The edges are those
that both arms know in the first slot that has any; later slots cannot change the question that is being asked.

What a slot could not tell (`ArmCounts.unseen`, an edge that one arm lacks) is not known there: it is no evidence, for
nobody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats

ERRORS, REJECTIONS, DEGRADED, FIRST_EDGE = 0, 1, 2, 3
# Noise is measured in blocks of this length: short ones soon give many comparisons, longer ones would see more of a
# burst that straddles two. Simulated for bursts within a second, 15 s and 30 s do equally well, and 60 s is late.
BLOCK_SECONDS = 15.0

METRICS: tuple[slots_.Metric, ...] = ("errors", "rejections", "degraded", "latency")

Bools = npt.NDArray[np.bool_]
Counts = slots_.PodCounts | slots_.ArmCounts


@dataclasses.dataclass(frozen=True)
class Table:
    """T slots, C columns; A = history + slots for stable's own record, P pods.

    odds is candidate/stable requests, 0 where a slot has no traffic on either arm. `known` is 0 where an arm's counts
    lack a column in that slot. `unseen` has a column for each of `METRICS`; `timed` says where an arm has buckets at
    all (a replay file may come without).
    """

    edges: tuple[str, ...]
    seconds: Floats  # [T]
    requests_candidate: Floats  # [T]
    requests_stable: Floats  # [T]
    events_candidate: Floats  # [T, C]
    events_stable: Floats  # [T, C]
    known: Floats  # [T, C]
    unseen: Bools  # [T, 4]
    timed: Bools  # [T]
    pods_candidate: Floats  # [T]
    pods_stable: Floats  # [T]
    blocks: npt.NDArray[np.intp]  # [A] block of each slot, ascending from 0
    arm_requests: Floats  # [A]
    arm_events: Floats  # [A, C]
    pod_requests: Floats  # [A, P]
    pod_events: Floats  # [A, P, C]

    @property
    def odds(self) -> Floats:
        both = (self.requests_candidate > 0) & (self.requests_stable > 0)
        return np.divide(
            self.requests_candidate, self.requests_stable, out=np.zeros_like(self.requests_stable), where=both
        )

    @property
    def slot_blocks(self) -> npt.NDArray[np.intp]:
        return self.blocks[len(self.blocks) - len(self.seconds) :]


def build(slots: Sequence[slots_.Slot], history: Sequence[slots_.Slot] = ()) -> Table:
    """Arrays of `slots`; `history` is stable's record before them (its candidate side is not read)."""
    edges = _edges(slots)
    record = [slot.stable for slot in (*history, *slots)]
    columns = FIRST_EDGE + len(edges)
    names = _pod_names(record)
    pod_requests = np.zeros((len(record), len(names)))
    pod_events = np.zeros((len(record), len(names), columns))
    for row, arm in enumerate(record):
        for place, pod in enumerate(arm.pods):
            column = names[pod.name or f"#{place}"]
            pod_requests[row, column] += pod.requests
            pod_events[row, column] += _events(pod, edges)
    return Table(
        edges=edges,
        seconds=np.array([slot.seconds for slot in slots], dtype=float),
        requests_candidate=np.array([slot.candidate.requests for slot in slots], dtype=float),
        requests_stable=np.array([slot.stable.requests for slot in slots], dtype=float),
        events_candidate=_rows([slot.candidate for slot in slots], edges),
        events_stable=_rows([slot.stable for slot in slots], edges),
        known=_known(slots, edges),
        unseen=_unseen(slots),
        timed=np.array([bool(slot.stable.slower or slot.candidate.slower) for slot in slots], dtype=bool),
        pods_candidate=_pod_counts([slot.candidate for slot in slots]),
        pods_stable=_pod_counts([slot.stable for slot in slots]),
        blocks=blocks([slot.seconds for slot in (*history, *slots)]),
        arm_requests=np.array([arm.requests for arm in record], dtype=float),
        arm_events=_rows(record, edges),
        pod_requests=pod_requests,
        pod_events=pod_events,
    )


def blocks(seconds: Sequence[float]) -> npt.NDArray[np.intp]:
    """Block of each slot, by the time at which the slot began; numbered without gaps."""
    begun = np.concatenate([[0.0], np.cumsum(seconds)])[:-1]
    raw = np.floor((begun + 1e-9) / BLOCK_SECONDS)
    return np.cumsum(np.diff(raw, prepend=0.0) > 0).astype(np.intp)


def _edges(slots: Sequence[slots_.Slot]) -> tuple[str, ...]:
    for slot in slots:
        shared = set(slot.stable.slower) & set(slot.candidate.slower)
        if shared:
            return tuple(sorted(shared, key=float))
    return ()


def _pod_names(record: Sequence[slots_.ArmCounts]) -> dict[str, int]:
    names = dict.fromkeys(pod.name or f"#{place}" for arm in record for place, pod in enumerate(arm.pods))
    return {name: column for column, name in enumerate(names)}


def _pod_counts(arms: Sequence[slots_.ArmCounts]) -> Floats:
    """Pods that answered in the slot; 1 when the arm isn't told apart."""
    return np.array([max(1, sum(1 for pod in arm.pods if pod.requests)) for arm in arms], dtype=float)


def _rows(arms: Sequence[slots_.ArmCounts], edges: tuple[str, ...]) -> Floats:
    return np.array([_events(arm, edges) for arm in arms], dtype=float).reshape(len(arms), FIRST_EDGE + len(edges))


def _events(counts: Counts, edges: tuple[str, ...]) -> list[int]:
    return [counts.errors, counts.rejected, counts.degraded, *(counts.slower.get(edge, 0) for edge in edges)]


def _known(slots: Sequence[slots_.Slot], edges: tuple[str, ...]) -> Floats:
    rows = [[edge in slot.stable.slower and edge in slot.candidate.slower for edge in edges] for slot in slots]
    unseen = _unseen(slots)
    slower = np.array(rows, dtype=bool).reshape(len(slots), len(edges)) & ~unseen[:, FIRST_EDGE:]
    return np.hstack([~unseen[:, :FIRST_EDGE], slower]).astype(float)


def _unseen(slots: Sequence[slots_.Slot]) -> Bools:
    rows = [[one in slot.stable.unseen or one in slot.candidate.unseen for one in METRICS] for slot in slots]
    return np.array(rows, dtype=bool).reshape(len(slots), len(METRICS))
