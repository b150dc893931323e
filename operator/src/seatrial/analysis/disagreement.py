"""Do more of the candidate's answers differ from stable's than the user allows? Answers to copies, compared row by row.

Two courses, both may be looked at at any time: that the share of differing rows is above the maximum, and that it is
below. Neither rolls back: another answer may be the better one.

Rows of one request are alike, so many rows are few requests: evidence is tempered by their number for each copy so far,
and by how events clump over time where that is more.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from seatrial.analysis import dispersion, evidence, judgement, policy, table
from seatrial.analysis.evidence import Floats
from seatrial.analysis.judgement import Counts, MetricEvidence, Outcome

PART = 0.1  # of alpha, beside the family's: what it proves never rolls back


@dataclasses.dataclass(frozen=True)
class Course:
    """After each slot, [T]."""

    compared: Floats
    different: Floats
    phi: Floats
    above: Floats  # log evidence that more differ than `most`
    below: Floats  # that fewer do
    most: float
    bound: float

    def proven(self, course: Floats, slot: int) -> bool:
        """Up to the slot: what was proven once stays so."""
        return float(course[: slot + 1].max()) >= math.log(self.bound)


def run(rows: table.Table, limits: policy.Policy) -> Course | None:
    """None where nobody asks, or nothing was compared yet."""
    if limits.disagreement is None or not rows.rows_compared.any():
        return None
    most = max(limits.disagreement, evidence.LOWEST_SHARE)
    copies = np.cumsum(rows.copies_compared)
    clumps = np.divide(np.cumsum(rows.rows_compared), copies, out=np.ones_like(copies), where=copies > 0)
    if limits.dispersion is None:
        noise = dispersion.over_time(rows.rows_different, rows.rows_compared, seconds=rows.seconds)
    else:
        noise = np.full_like(clumps, limits.dispersion)
    phi = np.maximum(noise, clumps)
    return Course(
        compared=np.cumsum(rows.rows_compared),
        different=np.cumsum(rows.rows_different),
        phi=phi,
        above=evidence.absolute(rows.rows_different, rows.rows_compared, most=most, dispersion=phi),
        below=evidence.absolute(
            rows.rows_different, rows.rows_compared, most=most, dispersion=phi, excesses=evidence.BETTER
        ),
        most=most,
        bound=1 / (limits.false_rollback_rate * PART),
    )


def at(course: Course, slot: int) -> MetricEvidence:
    """Where it stands after a slot: Fail when more differ than allowed, Pass when fewer do, Inconclusive before."""
    different, compared = course.different[: slot + 1], course.compared[: slot + 1]
    low, high = evidence.share_limits(
        np.diff(different, prepend=0.0), np.diff(compared, prepend=0.0), dispersion=course.phi[: slot + 1]
    )
    counts = Counts(requests=int(compared[-1]), events=int(different[-1]))
    if course.proven(course.above, slot):
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.PASS if course.proven(course.below, slot) else Outcome.INCONCLUSIVE
    return MetricEvidence(
        name=judgement.DISAGREEMENT,
        stable=Counts(requests=0, events=0),
        candidate=counts,
        ratio=counts.share / course.most,
        low=low / course.most or None,
        high=high / course.most if math.isfinite(high) else None,
        log_evidence=float(course.above[: slot + 1].max()),
        bound=course.bound,
        margin=course.most,
        dispersion=float(course.phi[slot]),
        outcome=outcome,
        proven=outcome is Outcome.PASS,
        log_proof=max(0.0, float(course.below[: slot + 1].max())),
    )
