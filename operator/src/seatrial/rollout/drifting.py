"""What is said about drift: the part of status, the condition and the event, from a judgement or from what is lacking.

A drifted model serves: neither Ready nor anything that a rollout depends on is touched. Evidence moves with every look;
status is written when something else does, and once a day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api import spec, status
from seatrial.api.status import ConditionStatus, DriftedColumn, DriftOutcome, DriftStatus, Reason
from seatrial.api.values import Duration, whole_seconds
from seatrial.drift import judgement, profile, schedule
from seatrial.drift import policy as policy_

from . import bounds, conditions, images, narrative

DAILY = timedelta(days=1)
_TRUE = {DriftOutcome.DRIFTED: ConditionStatus.TRUE, DriftOutcome.UNKNOWN: ConditionStatus.UNKNOWN}
_SHOWN_MESSAGE = 900
NO_ATTRIBUTIONS = (
    "no attributions are judged: the trial's report has none, as of models that take no table of two to 512 columns, "
    f"of packages without rows of it, and of older servers; leave out spec.monitoring.attributions, or {images.NEWER}"
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said of a revision now."""

    outcome: DriftOutcome
    reason: Reason
    message: str
    columns: tuple[DriftedColumn, ...] = ()


def policy(wish: spec.Drift) -> policy_.Policy:
    """What the user tolerates."""
    return policy_.Policy(
        tolerance=wish.tolerance,
        gross=wish.gross,
        invalid=wish.invalid,
        season=wish.season,
        false_alarm_rate=wish.false_alarm_rate,
        ignore=wish.ignore,
    )


def unknown(reason: Reason, message: str) -> Said:
    """Nothing can be said of the traffic, and why."""
    return Said(outcome=DriftOutcome.UNKNOWN, reason=reason, message=message)


def without(error: profile.Unusable) -> Said:
    """There is nothing to hold the traffic against: the package has no such rows, or the server can't tell them."""
    if isinstance(error, profile.Unsupported):
        return unknown(Reason.MONITORING_UNSUPPORTED, f"{error}; {images.NEWER}")
    return unknown(Reason.NO_REFERENCE, str(error))


def found(
    judged: judgement.Judgement,
    hours: schedule.Hours,
    *,
    filled: bool,
    accepted: datetime | None,
    lacking: str,
    unsupported: str = "",
) -> Said:
    """What a judgement says.

    Args:
        filled: a whole season was seen; before that only alarms and suspicions are worth a word.
        accepted: when references were accepted in place of the package's.
        lacking: why there is no newer one; nothing where there is.
        unsupported: what is asked for and can't be judged; the reason only where there is nothing else to tell.
    """
    message = "; ".join(one for one in (judged.message, lacking, unsupported) if one)
    columns = tuple(_column(one, hours) for one in judged.columns)
    outcome, reason = DriftOutcome(judged.outcome), Reason(judged.reason)
    if outcome is DriftOutcome.CLEAN and not filled:
        return unknown(Reason.METRICS_UNAVAILABLE, lacking or "less than a whole season of the traffic was seen yet")
    if lacking and outcome is not DriftOutcome.DRIFTED:
        return unknown(Reason.METRICS_UNAVAILABLE, lacking)
    if outcome is DriftOutcome.CLEAN and accepted is not None:
        reason, message = Reason.DRIFT_ACCEPTED, f"{message} since drift was accepted at {accepted:%Y-%m-%d %H:%M} UTC"
    elif outcome is DriftOutcome.CLEAN and unsupported:
        reason = Reason.MONITORING_UNSUPPORTED
    return Said(outcome=outcome, reason=reason, message=message, columns=columns)


def written(
    before: DriftStatus | None, said: Said, *, revision: str, now: datetime, accepted_at: datetime | None
) -> DriftStatus:
    """The part of status; the same one as before while only evidence has moved."""
    same = before is not None and before.revision == revision and before.outcome is said.outcome
    since = before.since if same and before is not None else whole_seconds(now)
    after = DriftStatus(
        revision=revision,
        outcome=said.outcome,
        since=since,
        at=whole_seconds(now),
        accepted_at=accepted_at,
        columns=said.columns,
    )
    if before is not None and _told(before) == _told(after) and now - before.at < DAILY:
        return before
    return after


def row(said: Said) -> conditions.Row:
    """The condition Drifted."""
    state = _TRUE.get(said.outcome, ConditionStatus.FALSE)
    return conditions.DRIFTED, state, said.reason, bounds.cut(said.message, _SHOWN_MESSAGE)


def in_status(
    raw: Mapping[str, Any],
    drift: DriftStatus | None,
    condition: status.Condition | None,
    *,
    handled: str = "",
) -> dict[str, Any]:
    """The status as stored with these parts in it, and nothing else of it changed. None takes a part away."""
    part = None if drift is None else msgspec.to_builtins(drift)
    after = conditions.in_status(raw, "drift", part, kind=conditions.DRIFTED, condition=condition)
    if handled:
        after["commands"] = {**(raw.get("commands") or {}), "acceptDrift": handled}
    return after


def event(before: DriftStatus | None, after: DriftStatus, said: Said, *, reason_before: str) -> narrative.Event | None:
    """What has become different, once: an alarm or another kind of it, and its end."""
    drifted = after.outcome is DriftOutcome.DRIFTED
    was = before is not None and before.revision == after.revision and before.outcome is DriftOutcome.DRIFTED
    if drifted and (not was or reason_before != said.reason):
        return narrative.Event(reason=Reason.DRIFT_DETECTED, message=said.message, warning=True)
    if was and after.outcome is DriftOutcome.CLEAN and said.reason is not Reason.DRIFT_ACCEPTED:
        return narrative.Event(reason=Reason.DRIFT_CLEARED, message=said.message)
    return None


def _told(drift: DriftStatus) -> tuple[object, ...]:
    """What is news when it differs."""
    columns = frozenset((one.name, one.test, one.outcome) for one in drift.columns)
    return drift.revision, drift.outcome, drift.accepted_at, columns


def _column(finding: judgement.Finding, hours: schedule.Hours) -> DriftedColumn:
    since = None if finding.since is None else whole_seconds(moment(hours, finding.since + 1))
    return DriftedColumn(
        name=bounds.cut(finding.column, bounds.SHORT),
        kind=finding.kind,
        test=finding.test,
        outcome=DriftOutcome(finding.outcome),
        where=bounds.cut(finding.where, bounds.SHORT),
        share=_percent(finding.share),
        reference=_percent(finding.reference),
        tolerated=_percent(finding.tolerated),
        rows=finding.rows,
        window=str(Duration(seconds=finding.window * hours.seconds)),
        evidence=f"{math.exp(min(finding.log_evidence, 700.0)):.3g}",
        bound=f"{finding.bound:.3g}",
        since=since,
    )


def moment(hours: schedule.Hours, hour: int) -> datetime:
    """When an hour begins."""
    return datetime.fromtimestamp(hours.begin(hour), tz=schedule.UTC)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
