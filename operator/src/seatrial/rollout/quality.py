"""What is said about the answers of the version that serves: the part of status, the condition and the event.

From what labels prove, what is lacking of them, and what confidence lets expect: an estimate stands beside the measure
and decides nothing. A version whose answers became worse serves on: neither Ready nor anything of a rollout is touched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.analysis import calibration, quality_after, quality_course
from seatrial.analysis.quality_after import Against, Day, Standing
from seatrial.api import spec
from seatrial.api.status import ConditionStatus, QualityOutcome, QualityStatus, Reason
from seatrial.api.values import Duration, whole_seconds

from . import bounds, conditions, images, narrative

NAME = "quality (labels)"
"""What an alarm about it is called among the causes of a training run."""
_TRUE = {QualityOutcome.DROPPED: ConditionStatus.TRUE, QualityOutcome.UNKNOWN: ConditionStatus.UNKNOWN}
_SHOWN_MESSAGE = 900
NO_LABELS = frozenset({Reason.LABELS_MISSING, Reason.MONITORING_UNSUPPORTED})
"""Told and counted as one: no labels, whether pods could count them or not."""
_LIMITS = {
    Against.MAXIMUM: "spec.monitoring.quality.max",
    Against.HOLDOUT: "the holdout's upper limit and the tolerance",
    Against.FIRST_WEEKS: "the upper limit of this version's first weeks and the tolerance",
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said of a revision now."""

    outcome: QualityOutcome
    reason: Reason
    message: str
    standing: Standing | None = None
    estimated: calibration.Expected | None = None
    """Of wrong answers."""


def unknown(reason: Reason, message: str, estimated: calibration.Expected | None = None) -> Said:
    """Nothing can be said by labels, and why."""
    words = "; ".join(one for one in (message, _expected(estimated)) if one)
    return Said(outcome=QualityOutcome.UNKNOWN, reason=reason, message=words, estimated=estimated)


def unsupported(lacking: str, estimated: calibration.Expected | None) -> Said:
    """Answers of this version can't carry a token, whatever clients ask for: `lacking` says why."""
    words = f"no answer of this version can have a token: {lacking}; ship the next version, or {images.NEWER}"
    return unknown(Reason.MONITORING_UNSUPPORTED, words, estimated)


def found(standing: Standing, *, alarm: bool, estimated: calibration.Expected | None, day: timedelta) -> Said:
    """What labels say. `alarm`: it stands since an earlier day, or begins now."""
    if standing.missing and not alarm:
        return unknown(Reason.LABELS_MISSING, standing.missing, estimated)
    lower = estimated is not None and estimated.low > standing.limit
    outcome, reason = QualityOutcome.HOLDS, Reason.QUALITY_ESTIMATED_LOWER if lower else Reason.QUALITY_HOLDS
    if alarm:
        outcome, reason = QualityOutcome.DROPPED, Reason.QUALITY_DROPPED
    elif standing.suspected:
        outcome = QualityOutcome.SUSPECTED
    words = [_measured(standing, day), _expected(estimated)]
    return Said(
        outcome=outcome,
        reason=reason,
        message="; ".join(one for one in words if one),
        standing=standing,
        estimated=estimated,
    )


def without(
    days: Sequence[Day],
    memory: quality_course.Memory,
    *,
    refused: Mapping[str, int],
    estimated: calibration.Expected | None,
) -> Said:
    """What is to be said where there is no label, or nothing to hold labels against. `refused`: entries, by reason."""
    if never := quality_after.never(days):
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()) if count)
        return unknown(Reason.LABELS_MISSING, f"{never}; refused: {told}" if told else never, estimated)
    if missing := quality_after.missing(days):
        return unknown(Reason.LABELS_MISSING, missing, estimated)
    why = "the trial's report has no accuracy on a holdout"
    if not memory.fair:
        why = "all labels are of one class, as no holdout is"
    elif quality_after.only_complaints(days, memory.first):
        why = "labels come for wrong answers only, as in no holdout"
    some = sum(day.labelled > 0 for day in days)
    words = f"{why}, so that its own first weeks count: {some} of {quality_after.FIRST} days with labels are there"
    return unknown(Reason.NO_REFERENCE, words, estimated)


def written(
    before: QualityStatus | None, said: Said, *, revision: str, now: datetime, until: datetime | None, day: timedelta
) -> QualityStatus:
    """The part of status; the same one as before while only figures have moved within a day.

    Args:
        until: end of the days that labels are complete of.
        day: its length.
    """
    same = before is not None and before.revision == revision and before.outcome is said.outcome
    after = QualityStatus(
        revision=revision,
        outcome=said.outcome,
        since=before.since if same and before is not None else whole_seconds(now),
        at=whole_seconds(now),
        until=until,
        **_figures(said.standing, day),
        **_estimate(said.estimated),
    )
    known = before is not None and (before.revision, before.outcome) == (after.revision, after.outcome)
    if before is not None and known and now - before.at < day:
        return before
    return after


def row(said: Said) -> conditions.Row:
    """The condition QualityDropped."""
    state = _TRUE.get(said.outcome, ConditionStatus.FALSE)
    return conditions.QUALITY_DROPPED, state, said.reason, bounds.cut(said.message, _SHOWN_MESSAGE)


def event(before: QualityStatus | None, after: QualityStatus, said: Said, *, reason: str) -> narrative.Event | None:
    """What has become different, once. `reason`: the condition's before."""
    same = before is not None and before.revision == after.revision
    was = before.outcome if before is not None and same else None
    if after.outcome is QualityOutcome.DROPPED and was is not QualityOutcome.DROPPED:
        return narrative.Event(reason=Reason.QUALITY_DROPPED, message=said.message, warning=True)
    if was is QualityOutcome.DROPPED and after.outcome is not QualityOutcome.DROPPED:
        return narrative.Event(
            reason=Reason.QUALITY_HOLDS, message=f"a whole week was within the limit; {said.message}"
        )
    if said.reason in NO_LABELS and not (same and reason in NO_LABELS):
        return narrative.Event(reason=said.reason, message=said.message, warning=True)
    return None


def wish_of(monitoring: spec.Monitoring) -> tuple[spec.QualityAfter, spec.Feedback] | None:
    """What is asked for; None where labels are not to be judged."""
    if monitoring.quality is None or monitoring.feedback is None:
        return None
    return monitoring.quality, monitoring.feedback


def _measured(standing: Standing, day: timedelta) -> str:
    of = f"{standing.of:.0f} answered rows" if standing.complaints else f"{standing.of:.0f} labelled rows"
    reached = ">=" if standing.log_evidence >= math.log(standing.bound) else "<"
    words = (
        f"{standing.wrong:.0f} of {of} were wrong over {Duration(seconds=standing.days * day.total_seconds())}: "
        f"{_percent(standing.share)}, with 99% confidence between {_percent(standing.low)} and "
        f"{_percent(standing.high)}; at most {_percent(standing.limit)} by {_LIMITS[standing.against]}; "
        f"evidence {_evidence(standing.log_evidence)} {reached} bound {standing.bound:.3g}"
    )
    if standing.complaints:
        return f"{words}; labels come for wrong answers only"
    return words


def _expected(estimated: calibration.Expected | None) -> str:
    if estimated is None:
        return ""
    return (
        f"by confidence alone {_percent(estimated.value)} would be wrong on the last day ({_percent(estimated.low)} to "
        f"{_percent(estimated.high)}), which is not judged"
    )


def _figures(standing: Standing | None, day: timedelta) -> dict[str, Any]:
    if standing is None:
        return {}
    return {
        "window": str(Duration(seconds=standing.days * day.total_seconds())),
        "labelled": round(standing.labelled),
        "wrong": round(standing.wrong),
        "share": _percent(standing.share),
        "low": _percent(standing.low),
        "high": _percent(standing.high),
        "limit": _percent(standing.limit),
        "against": standing.against.value,
        "evidence": _evidence(standing.log_evidence),
        "bound": f"{standing.bound:.3g}",
    }


def _estimate(estimated: calibration.Expected | None) -> dict[str, Any]:
    if estimated is None:
        return {}
    return {
        "estimated": _percent(estimated.value),
        "estimated_low": _percent(estimated.low),
        "estimated_high": _percent(estimated.high),
    }


def wrong(accuracy: calibration.Expected | None) -> calibration.Expected | None:
    """The same of wrong answers in place of right ones."""
    if accuracy is None:
        return None
    return calibration.Expected(1 - accuracy.value, 1 - accuracy.high, 1 - accuracy.low)


def policy_rate(monitoring: spec.Monitoring) -> float:
    """Of false alarms within a year: as for drift, once more."""
    return float(monitoring.drift.false_alarm_rate)


def _evidence(log: float) -> str:
    return f"{math.exp(min(log, 700.0)):.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
