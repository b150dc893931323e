"""From what Prometheus answers to hours: counters' totals, pod by pod, to the rows of each hour.

Totals are subtracted here, since Prometheus' own `increase` extrapolates and loses a new series' first value. A fall is
a restart: such a counter has begun at zero again. A pod that wasn't there at the beginning has begun at zero too; one
that comes back after hours of silence is left out until its next hour, as nobody knows when its rows came.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from seatrial.drift.columns import Column, Kind
from seatrial.drift.watch import Hour, Pod

SECONDS = 3600
_ROWS = {
    "seatrial_feature_rows_total": (Kind.FEATURE, "feature"),
    "seatrial_prediction_rows_total": (Kind.PREDICTION, "output"),
}
_REFUSED = "seatrial_refused_rows_total"
_PODS = ("pod", "instance")
Place = tuple[str, str]
"""Of a count in a pod's hour: name of the column, and bin (or code, for refused rows)."""


class Series(msgspec.Struct, frozen=True):
    """One series of a range query: moments in seconds, and values as text."""

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...]


class Data(msgspec.Struct, frozen=True, rename="camel"):
    """What a range query finds."""

    result_type: str
    result: tuple[Series, ...]


class Answer(msgspec.Struct, frozen=True):
    """Prometheus' answer to `query_range` with a step of an hour."""

    status: str
    data: Data


class _Totals:
    """Of one pod: by moment, the totals of its counters."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[Place, int]] = {}
        self.refused: dict[int, dict[Place, int]] = {}


def hours(answer: Answer, columns: Sequence[Column]) -> tuple[Hour, ...]:
    """The hours between the moments of an answer; moments that are missing leave gaps.

    Raises:
        ValueError: no range, another step, or counters of several revisions.
    """
    if answer.data.result_type != "matrix":
        raise ValueError(f"must be the answer to a range query, not a {answer.data.result_type}")
    pods = _by_pod(answer.data.result, {(column.kind, column.name) for column in columns})
    moments = sorted({moment for totals in pods.values() for moment in totals.rows})
    if any((after - before) % SECONDS for before, after in itertools.pairwise(moments)):
        raise ValueError("must have a step of one hour")
    return tuple(
        _hour(pods, columns, before=before, now=now, first=moments[0])
        for before, now in itertools.pairwise(moments)
        if now - before == SECONDS
    )


def _by_pod(result: Sequence[Series], known: set[tuple[Kind, str]]) -> dict[str, _Totals]:
    pods: dict[str, _Totals] = {}
    revisions = set()
    for series in result:
        name = series.metric.get("__name__", "")
        kind, label = _ROWS.get(name, (Kind.FEATURE, "feature"))
        column = series.metric.get(label, "")
        if (name not in _ROWS and name != _REFUSED) or (kind, column) not in known:
            continue
        revisions.add(series.metric.get("revision", ""))
        pod = next((series.metric[label] for label in _PODS if label in series.metric), "")
        totals = pods.setdefault(pod, _Totals())
        counted = totals.refused if name == _REFUSED else totals.rows
        place = (column, series.metric.get("code" if name == _REFUSED else "bin", ""))
        for moment, value in series.values:
            counted.setdefault(int(moment), {})[place] = int(float(value))
    if len(revisions) > 1:
        raise ValueError(f"has counters of {len(revisions)} revisions, whose bins differ: choose one by its label")
    return pods


def _hour(pods: Mapping[str, _Totals], columns: Sequence[Column], *, before: int, now: int, first: int) -> Hour:
    present = {name: totals for name, totals in pods.items() if now in totals.rows}
    found = tuple(_pods(present, columns, before=before, now=now, first=first))
    return Hour(at=now // SECONDS - 1, pods=found, ready=len(present))


def _pods(
    present: Mapping[str, _Totals], columns: Sequence[Column], *, before: int, now: int, first: int
) -> Iterator[Pod]:
    for name, totals in present.items():
        born = min(totals.rows) == now > first
        if not born and before not in totals.rows:
            continue
        rows = _increments(totals.rows, before=before, now=now)
        refused = _increments(totals.refused, before=before, now=now)
        yield Pod(
            name=name,
            rows={one.name: tuple(rows.get((one.name, bin_), 0) for bin_ in one.bins) for one in columns},
            refused={one.name: codes for one in columns if (codes := _codes(refused, one.name))},
        )


def _increments(totals: Mapping[int, Mapping[Place, int]], *, before: int, now: int) -> dict[Place, int]:
    known = totals.get(before, {})
    return {
        place: total - known.get(place, 0) if total >= known.get(place, 0) else total
        for place, total in totals.get(now, {}).items()
    }


def _codes(refused: Mapping[Place, int], column: str) -> dict[str, int]:
    return {code: rows for (name, code), rows in refused.items() if name == column and rows}
