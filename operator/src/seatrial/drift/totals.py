"""From what Prometheus answers to hours: counters' totals, pod by pod, to the rows of each hour.

Totals are subtracted here, since Prometheus' own `increase` extrapolates and loses a new series' first value. A fall is
a restart: all counters of that pod have begun at zero again. A pod that wasn't there at the beginning has begun at zero
too; one that comes back after hours of silence is left out until its next hour, as nobody knows when its rows came.

A pod that is scraped twice (two scrape jobs, two replicas of a Prometheus) has two series of each counter, each true in
itself: one of the targets counts, never both, and never one at the beginning of an hour and the other at its end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from seatrial.drift.columns import Column, Kind, labelled
from seatrial.drift.watch import Hour, Pod

SECONDS = 3600
_ROWS = {
    "seatrial_feature_rows_total": (Kind.FEATURE, "feature"),
    "seatrial_prediction_rows_total": (Kind.PREDICTION, "output"),
}
ATTRIBUTIONS = "seatrial_attribution_rows_total"
_REFUSED = "seatrial_refused_rows_total"
COUNTERS = (*_ROWS, ATTRIBUTIONS, _REFUSED)
_PODS = ("pod", "instance")
_EXPORTED = frozenset(
    {"__name__", "deployment", "deployment_namespace", "revision", "feature", "output", "bin", "code"}
)  # said by the pod itself; all other labels say where and by whom it was scraped
Whose = Callable[[Mapping[str, str]], str | None]
"""The name of the pod that a series is of, by its labels; None: of nobody that is to be believed."""
_Where = tuple[tuple[str, str], ...]
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
    """Of one target of a pod: by moment, the totals of its counters."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[Place, int]] = {}
        self.refused: dict[int, dict[Place, int]] = {}


def by_labels(metric: Mapping[str, str]) -> str:
    """The pod as the labels name it, whoever wrote them."""
    return next((metric[label] for label in _PODS if label in metric), "")


def hours(
    answer: Answer,
    columns: Sequence[Column],
    *,
    seconds: int = SECONDS,
    whose: Whose = by_labels,
    started: Mapping[str, float] | None = None,
) -> tuple[Hour, ...]:
    """The hours between the moments of an answer; moments that are missing leave gaps.

    Args:
        seconds: the length of an hour, and the answer's step.
        started: when pods began, as far as that is known: one that isn't new has not begun at zero.

    Raises:
        ValueError: no range, another step, or counters of several revisions.
    """
    if answer.data.result_type != "matrix":
        raise ValueError(f"must be the answer to a range query, not a {answer.data.result_type}")
    known = {(column.kind, labelled(column)): column.name for column in columns}
    pods = _by_pod(answer.data.result, known, whose)
    moments = sorted({moment for targets in pods.values() for one in targets.values() for moment in one.rows})
    if any((after - before) % seconds for before, after in itertools.pairwise(moments)):
        raise ValueError("must have a step of one hour")
    return tuple(
        _hour(pods, columns, before=before, now=now, first=moments[0], seconds=seconds, started=started or {})
        for before, now in itertools.pairwise(moments)
        if now - before == seconds
    )


def _by_pod(
    result: Sequence[Series], known: Mapping[tuple[Kind, str], str], whose: Whose
) -> dict[str, dict[str, _Totals]]:
    """By pod, then by target."""
    pods: dict[str, dict[str, _Totals]] = {}
    places: dict[_Where, _Totals | None] = {}  # a pod has a thousand series, all of them with the same few labels
    revisions = set()
    for series in result:
        found = _place(series.metric, known)
        if found is None:
            continue
        revisions.add(series.metric.get("revision", ""))
        where = tuple([pair for pair in series.metric.items() if pair[0] not in _EXPORTED])
        if where not in places:
            pod = whose(series.metric)
            places[where] = None if pod is None else pods.setdefault(pod, {}).setdefault(_target(where), _Totals())
        totals = places[where]
        if totals is None:
            continue
        counted = totals.refused if series.metric["__name__"] == _REFUSED else totals.rows
        for moment, value in series.values:
            if (total := _whole(value)) is not None:
                counted.setdefault(int(moment), {})[found] = total
    if len(revisions) > 1:
        raise ValueError(f"has counters of {len(revisions)} revisions, whose bins differ: choose one by its label")
    return pods


def _place(metric: Mapping[str, str], known: Mapping[tuple[Kind, str], str]) -> Place | None:
    """What a series counts; None where that is no column. Of attributions the features are the bins of a single one."""
    name = metric.get("__name__", "")
    if name not in COUNTERS:
        return None
    if name == ATTRIBUTIONS:
        column = next((one for (kind, _), one in known.items() if kind is Kind.ATTRIBUTION), None)
        return None if column is None else (column, metric.get("feature", ""))
    kind, label = _ROWS.get(name, (Kind.FEATURE, "feature"))
    column = known.get((kind, metric.get(label, "")))
    return None if column is None else (column, metric.get("code" if name == _REFUSED else "bin", ""))


def _target(where: _Where) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(where))


def _whole(text: str) -> int | None:
    """A total; None where somebody exports what can't be one."""
    value = float(text)
    return int(value) if math.isfinite(value) and 0 <= value < 2**53 else None


def _hour(
    pods: Mapping[str, Mapping[str, _Totals]],
    columns: Sequence[Column],
    *,
    before: int,
    now: int,
    first: int,
    seconds: int,
    started: Mapping[str, float],
) -> Hour:
    present = {name: [one for one in targets.values() if now in one.rows] for name, targets in pods.items()}
    found, seen = list[Pod](), 0
    for name, targets in present.items():
        seen += bool(targets)
        known = min((min(one.rows) for one in pods[name].values() if one.rows), default=now)
        new = known == now > first and started.get(name, before) >= before
        usable = [one for one in targets if new or before in one.rows]
        if usable:
            found.append(_pod(name, _fullest(usable, now), columns, before=before, now=now))
    return Hour(at=now // seconds - 1, pods=tuple(found), ready=seen)


def _fullest(targets: Sequence[_Totals], now: int) -> _Totals:
    """Whoever was scraped last, or has missed least."""
    return max(targets, key=lambda one: sum(one.rows[now].values()))


def _pod(name: str, totals: _Totals, columns: Sequence[Column], *, before: int, now: int) -> Pod:
    restarted = _fell(totals.rows, before=before, now=now) or _fell(totals.refused, before=before, now=now)
    rows = _increments(totals.rows, before=before, now=now, restarted=restarted)
    refused: dict[str, dict[str, int]] = {}
    for (column, code), count in _increments(totals.refused, before=before, now=now, restarted=restarted).items():
        if count:
            refused.setdefault(column, {})[code] = count
    return Pod(
        name=name,
        rows={one.name: tuple(rows.get((one.name, bin_), 0) for bin_ in one.bins) for one in columns},
        refused=refused,
    )


def _fell(totals: Mapping[int, Mapping[Place, int]], *, before: int, now: int) -> bool:
    known, found = totals.get(before, {}), totals.get(now, {})
    return any(found.get(place, total) < total for place, total in known.items())


def _increments(
    totals: Mapping[int, Mapping[Place, int]], *, before: int, now: int, restarted: bool
) -> dict[Place, int]:
    known = {} if restarted else totals.get(before, {})
    return {place: total - known.get(place, 0) for place, total in totals.get(now, {}).items()}
