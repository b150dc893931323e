"""What came back for answers, judged: labels and events that clients send, and counters of users' own services.

It comes late and beside what the counters of requests say, so a look is made without it (`looking`) and gets it added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from seatrial.analysis import cohorts, explain, judgement, outcomes, quality
from seatrial.analysis.slots import Slot
from seatrial.api import spec

from . import facts, looking, looks


class Returned(facts.Fact, frozen=True, kw_only=True):
    """What came back for answers, as far as it is known, and what of it is compared; `words`: what is only told."""

    cohorts: tuple[cohorts.Cohort, ...] = ()
    metrics: tuple[judgement.MetricEvidence, ...] = ()
    uneven: str = ""
    words: str = ""


def returned(
    asked: looking.Question,
    seen: Sequence[cohorts.Cohort],
    grown: Mapping[str, Sequence[outcomes.Growth]],
    slots: Sequence[Slot],
    *,
    now: datetime,
) -> Returned:
    """What is judged of what came back. `grown`: the counters of users' services, by the outcome they are for."""
    analysis, window = asked.analysis, asked.window
    alpha, count = float(analysis.false_rollback_rate), len(analysis.outcomes)
    metrics = []
    if analysis.quality is not None:
        metrics.append(quality.judge(seen, tolerance=analysis.quality.tolerance, alpha=alpha))
    for wish in analysis.outcomes:
        if wish.source is spec.OutcomeSource.FEEDBACK:
            metrics.append(outcomes.of_events(wish, seen, alpha=alpha, count=count))
        elif not window.alone:
            metrics.append(
                outcomes.of_counters(
                    wish,
                    grown.get(wish.name, ()),
                    slots,
                    since=window.since.timestamp(),
                    until=now.timestamp(),
                    revisions=(window.stable, window.candidate),
                    alpha=asked.limits.false_rollback_rate,
                    count=count,
                )
            )
    return Returned(
        cohorts=tuple(seen),
        metrics=tuple(metrics),
        uneven=quality.uneven(seen, alpha=alpha) if analysis.quality is not None else "",
        words=outcomes.words(seen),
    )


def with_returned(seen: looks.Look, found: Returned) -> looks.Look:
    """The look with what came back for answers. What was proven before stands; what is only suspected holds.

    Without labels there is nothing to hold for: they may come when the rollout is long over.
    """
    seen = msgspec.structs.replace(
        seen,
        metrics=(*seen.metrics, *found.metrics),
        cohorts=found.cohorts,
        message="; ".join(words for words in (seen.message, found.words) if words),
    )
    failed = guilty(found)
    if failed and not seen.failed:
        return msgspec.structs.replace(
            seen,
            outcome=looks.Outcome.FAIL,
            reason=reason(failed[0]),
            message=" | ".join(explain.metric_sentence(one, seconds=seen.window.total_seconds()) for one in failed),
            breach_at=seen.breach_at or seen.at,
        )
    if found.uneven and seen.passed:
        return msgspec.structs.replace(
            seen, outcome=looks.Outcome.INCONCLUSIVE, reason=judgement.Reason.FEEDBACK_UNEVEN, message=found.uneven
        )
    doubtful = [one for one in found.metrics if one.outcome is looks.Outcome.INCONCLUSIVE]
    if doubtful and seen.passed:
        words = explain.metric_sentence(doubtful[0], seconds=seen.window.total_seconds())
        return msgspec.structs.replace(
            seen,
            outcome=looks.Outcome.INCONCLUSIVE,
            reason=judgement.Reason.REGRESSION_SUSPECTED,
            message=f"{explain.OWN_WORDS[judgement.Reason.REGRESSION_SUSPECTED]}; {words}",
        )
    return seen


def guilty(found: Returned) -> list[judgement.MetricEvidence]:
    """What convicts the candidate; not its quality, where labels are uneven."""
    return [
        one
        for one in found.metrics
        if one.outcome is looks.Outcome.FAIL and not (one.name == quality.NAME and found.uneven)
    ]


def reason(metric: judgement.MetricEvidence) -> judgement.Reason:
    """Under which name it rolls back."""
    if metric.name == quality.NAME:
        return judgement.Reason.QUALITY_REGRESSED
    return judgement.Reason.OUTCOMES_REGRESSED
