"""Slots as arrays: one column for each kind of event, so that the tests run over all slots at once.

Columns: errors, rejections, degraded answers, shed ones, then "slower than" each histogram edge, ascending. The edges
are those that both arms know in the first slot that has any; later slots cannot change the question being asked.

What a slot could not tell (`ArmCounts.unseen`, an edge that one arm lacks) is not known there: it is no evidence, for
nobody. Shed answers are a share of what was asked, and known only where a candidate pod was asked no more than a stable
one: who has more to do may shed more.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats

ERRORS, REJECTIONS, DEGRADED, SHED, FIRST_EDGE = 0, 1, 2, 3, 4
# Noise is measured in cells of a pod and a block of this length (or a slot, if that is longer): short ones soon tell
# clumps from chance, longer ones would see more of a burst that straddles two.
BLOCK_SECONDS = 5.0
GROUP_BLOCKS = 3  # of one pod, compared with one another: few, so that slow drift is not taken for bursts

METRICS: tuple[slots_.Metric, ...] = ("errors", "rejections", "degraded", "latency")

Bools = npt.NDArray[np.bool_]
Counts = slots_.PodCounts | slots_.ArmCounts


@dataclasses.dataclass(frozen=True)
class Record:
    """One arm pod by pod, for what its noise is like. A = history + slots, P pods, C columns."""

    blocks: npt.NDArray[np.intp]  # [A] block of each slot, ascending from 0
    requests: Floats  # [A, P]
    events: Floats  # [A, P, C]


@dataclasses.dataclass(frozen=True)
class Table:
    """T slots, C columns.

    `asked` are requests and shed answers together, `requests` those that were answered, `timed_candidate` those of the
    candidate that its buckets are of, `unreachable_candidate` and `late_candidate` those that it never answered.
    `rows_compared` are rows of `copies_compared`, whose answers were compared with stable's. `by_request` says where
    each request was assigned to its arm by itself, at random. `known` is 0 where an arm's counts lack a column in that
    slot. `unseen` has a column for each of `METRICS`; `timed` says where an arm has buckets at all (a replay file may
    come without).
    """

    edges: tuple[str, ...]
    seconds: Floats  # [T]
    requests_candidate: Floats  # [T]
    requests_stable: Floats  # [T]
    asked_candidate: Floats  # [T]
    asked_stable: Floats  # [T]
    timed_candidate: Floats  # [T]
    unreachable_candidate: Floats  # [T]
    late_candidate: Floats  # [T]
    copies_compared: Floats  # [T]
    rows_compared: Floats  # [T]
    rows_different: Floats  # [T]
    by_request: Bools  # [T]
    events_candidate: Floats  # [T, C]
    events_stable: Floats  # [T, C]
    known: Floats  # [T, C]
    unseen: Bools  # [T, 4]
    timed: Bools  # [T]
    pods_candidate: Floats  # [T]
    pods_stable: Floats  # [T]
    record: Record  # stable's
    trial: Record  # the candidate's, over the same rows (nothing in those before the first slot)

    @property
    def odds(self) -> Floats:
        """Candidate to stable requests, 0 where a slot has no traffic on either arm."""
        return _odds(self.requests_candidate, self.requests_stable)

    def odds_of(self, columns: slice) -> Floats:
        """The odds for each of the columns, 0 where it isn't known: [T, columns]."""
        odds = np.repeat(self.odds[:, None], self.known.shape[1], axis=1)
        odds[:, SHED] = _odds(self.asked_candidate, self.asked_stable)
        odds[:, FIRST_EDGE:] = _odds(self.timed_candidate, self.requests_stable)[:, None]
        known: Floats = (odds * self.known)[:, columns]
        return known

    def requests_of(self, column: int) -> tuple[Floats, Floats]:
        """Requests of candidate and stable that the column's events are among: [T] each."""
        if column == SHED:
            return self.asked_candidate, self.asked_stable
        late = column >= FIRST_EDGE
        return (self.timed_candidate if late else self.requests_candidate), self.requests_stable


def _odds(candidate: Floats, stable: Floats) -> Floats:
    both = (candidate > 0) & (stable > 0)
    return np.divide(candidate, stable, out=np.zeros_like(stable), where=both)


def build(slots: Sequence[slots_.Slot], history: Sequence[slots_.Slot] = ()) -> Table:
    """Arrays of `slots`; `history` is stable's record before them (its candidate side is not read)."""
    edges = _edges(slots)
    rows = (*history, *slots)
    nobody = slots_.ArmCounts(requests=0)
    bounds = blocks([slot.seconds for slot in rows])
    return Table(
        edges=edges,
        seconds=np.array([slot.seconds for slot in slots], dtype=float),
        requests_candidate=np.array([slot.candidate.requests for slot in slots], dtype=float),
        requests_stable=np.array([slot.stable.requests for slot in slots], dtype=float),
        asked_candidate=np.array([slot.candidate.asked for slot in slots], dtype=float),
        asked_stable=np.array([slot.stable.asked for slot in slots], dtype=float),
        timed_candidate=np.array([slot.candidate.measured for slot in slots], dtype=float),
        unreachable_candidate=np.array([slot.candidate.unreachable for slot in slots], dtype=float),
        late_candidate=np.array([slot.candidate.late for slot in slots], dtype=float),
        copies_compared=np.array([slot.candidate.compared for slot in slots], dtype=float),
        rows_compared=np.array([slot.candidate.same + slot.candidate.different for slot in slots], dtype=float),
        rows_different=np.array([slot.candidate.different for slot in slots], dtype=float),
        by_request=np.array([slot.by_request for slot in slots], dtype=bool),
        events_candidate=_rows([slot.candidate for slot in slots], edges),
        events_stable=_rows([slot.stable for slot in slots], edges),
        known=_known(slots, edges),
        unseen=_unseen(slots),
        timed=np.array([bool(slot.stable.slower or slot.candidate.slower) for slot in slots], dtype=bool),
        pods_candidate=_pod_counts([slot.candidate for slot in slots]),
        pods_stable=_pod_counts([slot.stable for slot in slots]),
        record=_record([slot.stable for slot in rows], bounds, edges),
        trial=_record([nobody] * len(history) + [slot.candidate for slot in slots], bounds, edges),
    )


def _record(arms: Sequence[slots_.ArmCounts], bounds: npt.NDArray[np.intp], edges: tuple[str, ...]) -> Record:
    """Pod by pod; an arm that isn't told apart is one pod."""
    named = [
        [(pod.name or f"#{place}", pod) for place, pod in enumerate(arm.pods)] if arm.pods else [("", arm)]
        for arm in arms
    ]
    names = {name: column for column, name in enumerate(dict.fromkeys(name for own in named for name, _ in own))}
    requests = np.zeros((len(arms), len(names)))
    events = np.zeros((len(arms), len(names), FIRST_EDGE + len(edges)))
    cells = [(row, names[name], pod) for row, own in enumerate(named) for name, pod in own if pod.asked]
    if cells:
        place = (np.array([row for row, _, _ in cells]), np.array([column for _, column, _ in cells]))
        np.add.at(requests, place, np.array([pod.requests for _, _, pod in cells], dtype=float))
        np.add.at(events, place, _rows([pod for _, _, pod in cells], edges))
    return Record(blocks=bounds, requests=requests, events=events)


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


def _pod_counts(arms: Sequence[slots_.ArmCounts]) -> Floats:
    """Pods that answered in the slot; 1 when the arm isn't told apart."""
    return np.array([max(1, sum(1 for pod in arm.pods if pod.requests)) for arm in arms], dtype=float)


def _rows(counted: Sequence[Counts], edges: tuple[str, ...]) -> Floats:
    width = FIRST_EDGE + len(edges)
    events = itertools.chain.from_iterable(_events(counts, edges) for counts in counted)
    return np.fromiter(events, dtype=float, count=len(counted) * width).reshape(len(counted), width)


def _events(counts: Counts, edges: tuple[str, ...]) -> list[int]:
    slower = counts.slower
    if tuple(slower) == edges:
        return [counts.errors, counts.rejected, counts.degraded, counts.shed or 0, *slower.values()]
    return [counts.errors, counts.rejected, counts.degraded, counts.shed or 0, *[slower.get(edge, 0) for edge in edges]]


def _known(slots: Sequence[slots_.Slot], edges: tuple[str, ...]) -> Floats:
    rows = [[edge in slot.stable.slower and edge in slot.candidate.slower for edge in edges] for slot in slots]
    seen = ~_unseen(slots)
    slower = np.array(rows, dtype=bool).reshape(len(slots), len(edges)) & seen[:, METRICS.index("latency"), None]
    fair = np.array([_fair(slot) for slot in slots], dtype=bool)[:, None]
    return np.hstack([seen[:, :SHED], fair, slower]).astype(float)


def _fair(slot: slots_.Slot) -> bool:
    """Both arms' shed answers are known, and a candidate pod was asked no more than a stable one. Whatever a load makes
    pods shed, it grows faster than the load: those of one arm shed no less than one of their mean load would.
    """
    stable, candidate = slot.stable, slot.candidate
    if stable.shed is None or candidate.shed is None:
        return False
    return candidate.asked * _asked_pods(stable) <= stable.asked * _asked_pods(candidate)


def _asked_pods(arm: slots_.ArmCounts) -> int:
    return max(1, sum(pod.asked > 0 for pod in arm.pods))


def _unseen(slots: Sequence[slots_.Slot]) -> Bools:
    rows = [[one in slot.stable.unseen or one in slot.candidate.unseen for one in METRICS] for slot in slots]
    return np.array(rows, dtype=bool).reshape(len(slots), len(METRICS))
