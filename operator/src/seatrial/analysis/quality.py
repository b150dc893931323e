"""Are the candidate's answers worse than stable's, by what came back for them? Looked at as labels come in.

A stratum is a cohort of requests: of its wrong rows so far, each is the candidate's with the odds of its rows to
stable's, whatever share of the labels has come yet, as long as labels of both versions take the same time. So both arms
are always compared at the same age, and looking at any time is valid. By the time at which labels *arrive* that is not
so: where complaints are fast and confirmations slow, a version that was just started looks worse whatever it answers.

That both get labels alike is looked at, too, and where it is not so (`uneven`) quality is not judged. Right ones are
counted for that beside all of them: where complaints come first, a worse version has more labels for a good reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial.analysis import cohorts, evidence
from seatrial.analysis.evidence import Floats
from seatrial.analysis.judgement import Counts, MetricEvidence, Outcome

NAME = "quality"
SHARE, OUTCOMES_SHARE = 0.14, 0.10  # of alpha, for the whole rollout; outcomes share theirs
RATIOS: Floats = np.array([1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0])
COVERAGE = 1.5
LEAST_PHI = 1.1
PHI_WEIGHT = 5.0
FEW = 2  # cohorts with events of both arms' rows, before noise is measured


class Arms(msgspec.Struct, frozen=True):
    """Events and rows per cohort, of candidate and stable."""

    events_candidate: Floats
    events_stable: Floats
    rows_candidate: Floats
    rows_stable: Floats

    @property
    def odds(self) -> Floats:
        both = (self.rows_candidate > 0) & (self.rows_stable > 0)
        return np.divide(self.rows_candidate, self.rows_stable, out=np.zeros_like(self.rows_stable), where=both)

    @property
    def swapped(self) -> Arms:
        """With the arms' places changed: more is better then."""
        return Arms(self.events_stable, self.events_candidate, self.rows_stable, self.rows_candidate)


def wrong(seen: Sequence[cohorts.Cohort]) -> Arms:
    """Wrong rows among those answered."""
    return arms([(one.candidate.wrong, one.stable.wrong, one.candidate.rows, one.stable.rows) for one in seen])


def arms(rows: Sequence[tuple[float, float, float, float]]) -> Arms:
    """From events of candidate and stable, rows of candidate and stable, cohort by cohort."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    return Arms(*(table[:, place] for place in range(4)))


def judge(seen: Sequence[cohorts.Cohort], *, tolerance: float, alpha: float) -> MetricEvidence:
    """Where quality stands after these cohorts; NoData while there is no label or where labels are uneven."""
    return compare(NAME, wrong(seen), tolerance=tolerance, bound=1 / (alpha * SHARE))


def compare(name: str, table: Arms, *, tolerance: float, bound: float, more: bool = False) -> MetricEvidence:
    """The evidence that events are more than `1 + tolerance` times as likely with the candidate.

    `more`: that they are less likely by as much, where more is better.
    """
    asked = table.swapped if more else table
    odds = asked.odds
    noise = phi(asked)
    judged = evidence.relative(
        asked.events_candidate,
        asked.events_stable,
        odds=odds,
        margin=1 + tolerance,
        dispersion=noise,
        ratios=RATIOS,
    )
    log_evidence = float(judged[-1]) if len(judged) else 0.0
    low, high = _limits(table, noise)
    stable, candidate = (
        Counts(requests=round(float(rows.sum())), events=round(float(events.sum())))
        for rows, events in (
            (table.rows_stable, table.events_stable),
            (table.rows_candidate, table.events_candidate),
        )
    )
    return MetricEvidence(
        name=name,
        stable=stable,
        candidate=candidate,
        ratio=candidate.share / stable.share if stable.share else None,
        low=low or None,
        high=high if math.isfinite(high) else None,
        log_evidence=log_evidence,
        bound=bound,
        margin=1 + tolerance,
        dispersion=noise,
        outcome=_outcome(log_evidence, bound, events=stable.events + candidate.events),
        more=more,
    )


def uneven(seen: Sequence[cohorts.Cohort], *, alpha: float) -> str:
    """Why labels of the two versions can't be compared, in words; nothing while nothing speaks against it."""
    bound = math.log(1 / (alpha * SHARE))
    all_ = arms([(one.candidate.labelled, one.stable.labelled, one.candidate.rows, one.stable.rows) for one in seen])
    right = arms([(one.candidate.right, one.stable.right, one.candidate.rows, one.stable.rows) for one in seen])
    for less in (False, True):
        found = [_reached(table.swapped if less else table, bound) for table in (all_, right)]
        if all(found):
            stable, candidate = (
                float(events.sum() / rows.sum())
                for events, rows in (
                    (all_.events_stable, all_.rows_stable),
                    (all_.events_candidate, all_.rows_candidate),
                )
            )
            return (
                f"labels came for {candidate:.1%} of the candidate's rows and for {stable:.1%} of stable's: quality is "
                "not judged while one of them gets more"
            )
    return ""


def phi(table: Arms) -> float:
    """How much noisier than coin flips the split of the events is between cohorts, at least 1.1.

    Any value from 1.1 on is safe, also one that is measured on the same events: it only takes away from what 1.1 gives.
    """
    events = table.events_candidate + table.events_stable
    there = (events > 0) & (table.odds > 0)
    count = int(there.sum())
    if count < FEW:
        return LEAST_PHI
    x, of, odds = table.events_candidate[there], events[there], table.odds[there]
    ratio = _pooled_ratio(x, of, odds)
    share = np.clip(ratio * odds / (1 + ratio * odds), 1e-9, 1 - 1e-9)
    squares = float(((x - of * share) ** 2 / (of * share * (1 - share))).sum())
    return max(LEAST_PHI, (squares + PHI_WEIGHT * LEAST_PHI) / (count - 1 + PHI_WEIGHT))


def _pooled_ratio(x: Floats, of: Floats, odds: Floats) -> float:
    """Candidate's rate over stable's, over all cohorts (Mantel and Haenszel)."""
    weight = 1 / (1 + odds)
    ours, theirs = float((x * weight).sum()), float(((of - x) * odds * weight).sum())
    return ours / theirs if ours and theirs else 1.0


def _limits(table: Arms, noise: float) -> tuple[float, float]:
    if not len(table.rows_stable):
        return 0.0, math.inf
    return evidence.ratio_limits(
        table.events_candidate, table.events_stable, odds=table.odds, dispersion=np.full(len(table.odds), noise)
    )


def _outcome(log_evidence: float, bound: float, *, events: int) -> Outcome:
    if not events:
        return Outcome.NO_DATA
    if log_evidence >= math.log(bound):
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if log_evidence >= math.log(bound) / 2 else Outcome.PASS


def _reached(table: Arms, bound: float) -> bool:
    found = evidence.relative(
        table.events_candidate,
        table.events_stable,
        odds=table.odds,
        margin=COVERAGE,
        dispersion=phi(table),
    )
    return bool(len(found)) and float(found[-1]) >= bound
