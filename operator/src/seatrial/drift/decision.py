"""The judgement of one look: which tests alarm, which are suspected, and when an alarm no longer stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from seatrial.analysis import evidence
from seatrial.drift import margin, sets, words
from seatrial.drift.columns import Array, Column
from seatrial.drift.course import Look
from seatrial.drift.judgement import REASONS, Finding, Judgement, Outcome, Reason
from seatrial.drift.tests import VALIDITY, Question

MOST_FINDINGS = 5


def suspicious(look: Look, bound: float) -> Array:
    """Where a look is at least a suspicion: half of the way, in nats. [...]"""
    return np.asarray(look.log_evidence >= math.log(bound) / 2)


def strongest(looks: Iterable[Look], column: Column, *, bound: float) -> list[Finding]:
    """For each question the look with most evidence, in words. All are at least suspicious."""
    best: dict[Question, Look] = {}
    for look in looks:
        other = best.get(look.test.question)
        if other is None or look.log_evidence > other.log_evidence:
            best[look.test.question] = look
    return [_finding(look, column, bound=bound) for look in best.values()]


def calm(look: Look) -> bool:
    """Whether a window lies within half of what is tolerated, chance aside."""
    rows = float(look.counts.sum())
    if not rows:
        return False
    reference = look.test.reference
    distance = 0.5 * float(np.abs(look.counts / rows - reference).sum())
    if look.test.question in VALIDITY:
        distance = max(0.0, float(look.counts[0]) / rows - float(reference[0]))
    by_chance = float(margin.chance(reference, np.asarray(rows / float(look.dispersion))))
    return distance - by_chance <= look.test.margin / 2


def judged(at: int, findings: Sequence[Finding], alarms: Sequence[Finding], *, seen: bool) -> Judgement:
    """What is said: alarms that stand, then suspicions, by evidence beyond their bound.

    `seen`: whether anything could be looked at.
    """
    standing = {alarm.key for alarm in alarms}
    suspected = [one for one in findings if one.outcome is Outcome.SUSPECTED and one.key not in standing]
    shown = (*sorted(alarms, key=_beyond), *sorted(suspected, key=_beyond))[:MOST_FINDINGS]
    if alarms:
        found, reason = Outcome.DRIFTED, _reason(alarms)
    elif not seen:
        found, reason = Outcome.UNKNOWN, Reason.METRICS_UNAVAILABLE
    elif suspected:
        found, reason = Outcome.SUSPECTED, Reason.DRIFT_SUSPECTED
    else:
        found, reason = Outcome.CLEAN, Reason.NO_DRIFT
    return Judgement(at, found, reason, shown, words.sentence(shown, found=found, more=len(alarms) - len(shown)))


def _reason(alarms: Sequence[Finding]) -> Reason:
    if any(alarm.test in VALIDITY for alarm in alarms):
        return Reason.INVALID_DATA
    kinds = {alarm.kind for alarm in alarms}
    return next(reason for kind, reason in REASONS.items() if kind in kinds)


def _beyond(finding: Finding) -> float:
    return math.log(finding.bound) - finding.log_evidence


def _finding(look: Look, column: Column, *, bound: float) -> Finding:
    test, rows = look.test, float(look.counts.sum())
    most = look.most + float(look.room)
    place = _place(look)
    chosen = test.chosen[place]
    hits = float(look.counts @ chosen)
    low, high = evidence.share_limits(np.array(hits), np.array(rows), dispersion=float(look.dispersion))
    log_evidence = float(look.log_evidence)
    return Finding(
        column=column.name,
        kind=column.kind,
        test=test.question,
        where=words.where(test, chosen, column),
        share=hits / rows if rows else 0.0,
        low=low,
        high=min(1.0, high),
        reference=float(test.reference @ chosen),
        tolerated=min(1.0, float(most[place])),
        rows=int(rows),
        window=look.window.hours,
        log_evidence=log_evidence,
        bound=bound,
        dispersion=float(look.dispersion),
        outcome=Outcome.DRIFTED if log_evidence >= math.log(bound) else Outcome.SUSPECTED,
        note=test.note,
    )


def _place(look: Look) -> int:
    """The set that gave most of the evidence."""
    terms = sets.log_terms(look.counts, look.test.chosen, look.most + look.room, look.test.excesses)
    return int(np.argmax(terms.max(axis=-1)))
