"""What monitoring has found of the version that serves, as retraining takes it: the one place where the two meet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api.status import DriftedColumn, DriftOutcome, DriftStatus, Reason, Status
from seatrial.api.values import Duration
from seatrial.rollout import bounds, conditions

from . import seen

MAX_REPORT = 8192


def of(status: Status) -> seen.Alarm:
    """The alarm about what serves; what was found of a version before it says nothing."""
    drift, stable = status.drift, status.stable
    if drift is None or stable is None or drift.revision != stable.revision:
        return seen.Alarm()
    said = next((one for one in status.conditions if one.type == conditions.DRIFTED), None)
    blind = drift.outcome is DriftOutcome.UNKNOWN and said is not None and said.reason == Reason.METRICS_UNAVAILABLE
    moved = tuple(one for one in drift.alarms if not one.bad_data)
    start, end = _window(moved, drift)
    return seen.Alarm(
        columns=_names(moved),
        invalid=_names(tuple(one for one in drift.alarms if one.bad_data)),
        since={one.name: one.since or drift.since for one in moved},
        blind=said.message if blind and said is not None else "",
        words=bounds.cut(said.message, bounds.SHORT) if said is not None and moved else "",
        start=start,
        end=end,
        report=_report(drift),
    )


def _names(columns: tuple[DriftedColumn, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in columns))


def _window(columns: tuple[DriftedColumn, ...], drift: DriftStatus) -> tuple[datetime | None, datetime | None]:
    """Of the rows that the longest of the alarms is about."""
    spans = [_span(one.window) for one in columns]
    return (drift.at - max(spans), drift.at) if spans else (None, None)


def _span(text: str) -> timedelta:
    try:
        return Duration.parse(text)
    except ValueError:
        return timedelta(0)


def _report(drift: DriftStatus) -> str:
    """For the run's code. It is bounded as an environment variable should be, by leaving the weakest columns out."""
    columns: list[Any] = [msgspec.to_builtins(one) for one in drift.alarms]
    while True:
        text = msgspec.json.encode({"revision": drift.revision, "at": drift.at, "columns": columns}).decode()
        if len(text.encode()) <= MAX_REPORT or not columns:
            return text
        columns.pop()
