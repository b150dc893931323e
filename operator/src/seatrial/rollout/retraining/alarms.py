"""What monitoring has found of the version that serves, as retraining takes it: the one place where the two meet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api.status import (
    DriftedColumn,
    DriftOutcome,
    DriftStatus,
    QualityOutcome,
    QualityStatus,
    Reason,
    Status,
)
from seatrial.api.values import Duration
from seatrial.rollout import bounds, conditions
from seatrial.rollout import quality as quality_

from . import seen

MAX_REPORT = 8192


def of(status: Status) -> seen.Alarm:
    """The alarm about what serves; what was found of a version before it says nothing."""
    drift, quality, stable = status.drift, status.quality, status.stable
    if stable is None:
        return seen.Alarm()
    drift = drift if drift is not None and drift.revision == stable.revision else None
    quality = quality if quality is not None and quality.revision == stable.revision else None
    if drift is None and quality is None:
        return seen.Alarm()
    said = _said(status, conditions.DRIFTED)
    blind = drift is not None and drift.outcome is DriftOutcome.UNKNOWN and said.reason == Reason.METRICS_UNAVAILABLE
    alarms = drift.alarms if drift is not None else ()
    moved = tuple(one for one in alarms if not one.bad_data)
    start, end = _window(moved, drift)
    dropped = quality is not None and quality.outcome is QualityOutcome.DROPPED
    if quality is not None and dropped and start is None and quality.until is not None:
        start, end = quality.until - _span(quality.window), quality.until
    return seen.Alarm(
        columns=_names(moved),
        invalid=_names(tuple(one for one in alarms if one.bad_data)),
        since={
            **{one.name: one.since or drift.since for one in moved if drift is not None},
            **({quality_.NAME: quality.since} if quality is not None and dropped else {}),
        },
        blind=said.message if blind else "",
        words=bounds.cut(said.message, bounds.SHORT) if moved else "",
        dropped=bounds.cut(_said(status, conditions.QUALITY_DROPPED).message, bounds.SHORT) if dropped else "",
        start=start,
        end=end,
        report=_report(drift, quality),
    )


class _Said(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


def _said(status: Status, kind: str) -> _Said:
    found = (_Said(one.reason, one.message) for one in status.conditions if one.type == kind)
    return next(found, _Said())


def _names(columns: tuple[DriftedColumn, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in columns))


def _window(columns: tuple[DriftedColumn, ...], drift: DriftStatus | None) -> tuple[datetime | None, datetime | None]:
    """Of the rows that the longest of the alarms is about."""
    spans = [_span(one.window) for one in columns]
    return (drift.at - max(spans), drift.at) if drift is not None and spans else (None, None)


def _span(text: str) -> timedelta:
    try:
        return Duration.parse(text)
    except ValueError:
        return timedelta(0)


def _report(drift: DriftStatus | None, quality: QualityStatus | None) -> str:
    """For the run's code. It is bounded as an environment variable should be, by leaving the weakest columns out."""
    columns: list[Any] = [msgspec.to_builtins(one) for one in drift.alarms] if drift is not None else []
    said = {} if drift is None else {"revision": drift.revision, "at": drift.at}
    if quality is not None:
        said = {"revision": quality.revision, "at": quality.at, **said, "quality": msgspec.to_builtins(quality)}
    while True:
        text = msgspec.json.encode({**said, "columns": columns}).decode()
        if len(text.encode()) <= MAX_REPORT or not columns:
            return text
        columns.pop()
